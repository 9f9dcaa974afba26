"""What has to be known of scores besides the numbers, found while the files were read."""

from collections import Counter
from collections.abc import Sequence

from mattingzoo.io import some
from mattingzoo.matching import SHOWN, Matched
from mattingzoo.scoring import ALPHA, FIRST, Scored


def check_trimaps(scored: Sequence[Scored]) -> None:
    """Refuse trimaps whose unknown region is empty because they mean another gray by it.

    Raises:
        ValueError: If no trimap holds a 128, and one holds another gray.
    """
    odd = Counter(value for one in scored for value in one.odd)
    if odd and not any(one.unknown for one in scored):
        values = some([str(value) for value in sorted(odd)], SHOWN)
        raise ValueError(
            f"no trimap holds a pixel of 128, which is what unknown means; their grays are {values}"
            ". Save unknown as 128, or score --region whole"
        )


def protocol(scored: Sequence[Scored], fill_known: bool) -> str:
    """How trimaps and predictions were treated, for result files."""
    if any(one.fills_known is not None for one in scored):
        trimaps = "trimaps as given, unknown is 128"
        filled = fill_known or all(one.fills_known is not False for one in scored)
        known = "known region overwritten by the trimap" if filled else "prediction as it is"
    else:
        trimaps, known = "no trimaps", "prediction as it is"
    return f"{trimaps}; {known}; full size; mattes rounded to 8 bits; means over images"


def gaps(scored: Sequence[Scored], matched: Matched) -> str:
    """What a mean lacks: pictures that could not be scored, and those without their files."""
    expected = len(scored) + len(matched.no_prediction) + len(matched.no_trimap)
    failed = sum(one.result is None for one in scored)
    lacking = {
        "could not be scored": failed,
        "have no prediction": len(matched.no_prediction),
        "have no trimap": len(matched.no_trimap),
    }
    found = [f"{count} of {expected} pictures {what}" for what, count in lacking.items() if count]
    return f"incomplete: {', '.join(found)}" if found else ""


def notes(
    scored: Sequence[Scored], matched: Matched, unknown: bool, fill_known: bool, pattern: bool
) -> list[str]:
    """Sentences to stand under the table.

    Args:
        scored: What came of each picture.
        matched: Which files belonged together.
        unknown: Whether the unknown region is reported.
        fill_known: Whether the known region was overwritten.
        pattern: Whether foregrounds were told by a pattern of names.
    """
    good = [one for one in scored if one.result is not None]
    found = [_foregrounds(good, pattern)]
    if matched.extra:
        names = some(matched.extra, SHOWN)
        found.append(f"{len(matched.extra)} predictions have no true matte, left out: {names}.")
    for channel in (ALPHA, FIRST):
        kinds = Counter(key for one in good for key, c in one.channels.items() if c == channel)
        found += [
            f"{count} of {len(good)} {kind}s are no plain mattes: {channel} was taken."
            for kind, count in kinds.items()
        ]
    if unknown:
        found += _trimaps(good)
    own = sum(one.fills_known is False for one in good)
    if own and not fill_known:
        found.append(
            f"{own} of {len(good)} predictions are not the trimap where it is known: scored as "
            "they are. Figures of trimap-based methods are published with that overwritten: "
            "--fill-known."
        )
    return found


def _foregrounds(good: Sequence[Scored], pattern: bool) -> str:
    count = len({one.result.foreground for one in good if one.result is not None})
    if pattern:
        return f"Intervals draw the {count} foregrounds that --foregrounds tells."
    if count < len(good):
        return f"Intervals draw {count} foregrounds: pictures of one and the same true matte."
    return "Intervals take every picture for independent; else give --foregrounds."


def _trimaps(good: Sequence[Scored]) -> list[str]:
    """Trimaps that do not say what they seem to."""
    found = []
    odd = [one for one in good if one.odd]
    if odd:
        values = sorted({value for one in odd for value in one.odd})
        found.append(
            f"{len(odd)} of {len(good)} trimaps hold values other than 0, 128 and 255: "
            f"{some([str(value) for value in values], SHOWN)}. Those pixels are not unknown."
        )
    meant = [one.name for one in odd if one.unknown == 0]
    if meant:
        found.append(
            f"WARNING: {len(meant)} of them hold no 128 at all: {some(meant, SHOWN)}. Their "
            "unknown region is empty and scores SAD, Grad and Conn 0, which is no merit; save "
            "unknown as 128."
        )
    empty = [one.name for one in good if one.unknown == 0 and not one.odd]
    if empty:
        found.append(
            f"{len(empty)} of {len(good)} trimaps have no unknown pixel: {some(empty, SHOWN)}; "
            "SAD, Grad and Conn are 0 there, MSE is left out of the mean."
        )
    return found
