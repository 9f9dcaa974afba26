"""Accessory fusion and trimaps of masks, on drawn panoptic maps."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mattingzoo.datamodules._coco_fusion import (
    ACCESSORIES,
    FusionSettings,
    Mask,
    Segment,
    fuse,
    kernel_size,
    overlap,
    trimap_from_mask,
)

IDS = {name: number for number, name in ACCESSORIES.items()}
PERSON, WINE_GLASS, DOG = 1, 46, 18
SIZE = (120, 160)


def box(left: int, top: int, right: int, bottom: int) -> Mask:
    mask = np.zeros(SIZE, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


#: Two persons, 20 pixels apart.
LEFT, RIGHT = box(20, 20, 60, 110), box(80, 20, 120, 110)


def names(*segments: Segment, **changes: Any) -> list[tuple[str, ...]]:
    """What is fused into each person, of those who get anything."""
    return [matte.names for matte in fuse(segments, FusionSettings(**changes)).mattes]


def held(name: str, mask: Mask) -> Segment:
    return Segment(IDS[name], mask)


def test_forty_classes_without_glasses_cups_and_animals() -> None:
    assert len(ACCESSORIES) == 40
    assert not {46, 47, 73, PERSON, DOG} & ACCESSORIES.keys()


def test_racket_that_touches_one_person_is_fused() -> None:
    racket = box(60, 40, 75, 50)
    result = fuse(
        [Segment(PERSON, LEFT), held("tennis racket", racket), Segment(PERSON, RIGHT)],
        FusionSettings(),
    )
    (matte,) = result.mattes
    assert matte.names == ("tennis racket",)
    np.testing.assert_array_equal(matte.mask, LEFT | racket)
    assert result.counts["accessories_fused"] == 1
    assert result.counts["persons_alone"] == 1


def test_contact_reaches_over_a_gap_of_one_pixel_but_not_of_ten() -> None:
    # As the kernel is even, OpenCV's dilation reaches two pixels to the right, one to the left.
    near = held("sports ball", box(70, 40, 79, 50))
    assert names(Segment(PERSON, RIGHT), near) == [("sports ball",)]
    far = fuse([Segment(PERSON, LEFT), held("sports ball", box(70, 40, 80, 50))], FusionSettings())
    assert far.mattes == []
    assert far.counts["accessories_apart"] == 1


def test_wider_contact_reaches_further() -> None:
    segments = Segment(PERSON, LEFT), held("sports ball", box(64, 40, 74, 50))
    assert names(*segments) == []
    assert names(*segments, contact=11) == [("sports ball",)]


def test_bottle_equally_between_two_persons_is_dropped() -> None:
    segments = Segment(PERSON, LEFT), held("bottle", box(60, 40, 80, 60)), Segment(PERSON, RIGHT)
    result = fuse(segments, FusionSettings())
    assert result.mattes == []
    assert result.counts["accessories_shared"] == 1
    assert result.counts["persons_alone"] == 2


def test_shared_accessory_may_cost_all_who_touch_it() -> None:
    far = box(140, 20, 158, 110)
    segments = (
        Segment(PERSON, LEFT), Segment(PERSON, RIGHT), Segment(PERSON, far),
        held("bottle", box(60, 40, 80, 60)),
        held("tie", box(30, 30, 34, 50)), held("tie", box(145, 30, 150, 50)),
    )  # fmt: skip
    assert names(*segments) == [("tie",), ("tie",)]
    assert names(*segments, shared="drop-persons") == [("tie",)]
    result = fuse(segments, FusionSettings(shared="drop-persons"))
    assert result.counts["persons_sharing"] == 2
    np.testing.assert_array_equal(result.mattes[0].mask, far)


def test_mostly_one_person_s_reaches_tau() -> None:
    mask = box(60, 40, 78, 70) | box(78, 40, 80, 42)  # a long side, and a short one
    segments = Segment(PERSON, LEFT), held("frisbee", mask), Segment(PERSON, RIGHT)
    share = _contact_share(mask)
    assert 0.7 < share < 0.95
    assert names(*segments, tau=share - 0.01) == [("frisbee",)]
    assert names(*segments, tau=share + 0.01) == []


def _contact_share(mask: Mask) -> float:
    """By counting pixel by pixel with the same ellipse."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (4, 4))
    reached = np.zeros_like(mask)
    for y, x in np.argwhere(np.ones_like(mask)):
        for j, i in np.argwhere(ellipse):
            v, u = y + j - 2, x + i - 2
            if 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1] and mask[v, u]:
                reached[y, x] = True
    left, right = (reached & LEFT).sum(), (reached & RIGHT).sum()
    return float(left / (left + right))


def test_wine_glass_and_dog_are_no_accessories() -> None:
    beside = box(60, 40, 70, 50)
    assert names(Segment(PERSON, LEFT), Segment(WINE_GLASS, beside)) == []
    assert names(Segment(PERSON, LEFT), Segment(DOG, beside)) == []


def test_crowds_are_left_out() -> None:
    bat = box(60, 40, 70, 50)
    crowd = fuse([Segment(PERSON, LEFT, crowd=True), held("baseball bat", bat)], FusionSettings())
    assert crowd.mattes == []
    assert crowd.counts["persons_crowd"] == 1
    assert names(Segment(PERSON, LEFT), Segment(IDS["book"], bat, crowd=True)) == []


def test_person_without_accessory_gives_nothing() -> None:
    assert names(Segment(PERSON, LEFT)) == []


def test_two_bags_give_two_names_in_segment_order() -> None:
    bag, other = box(10, 50, 20, 60), box(60, 50, 70, 60)
    person = Segment(PERSON, LEFT)
    assert names(held("handbag", bag), person, held("handbag", other)) == [("handbag", "handbag")]
    assert names(held("umbrella", bag), person, held("handbag", other)) == [("umbrella", "handbag")]
    assert names(held("handbag", other), held("umbrella", bag), person) == [("handbag", "umbrella")]


def test_four_persons_with_one_frisbee_each() -> None:
    # As the release has image 000000018480.
    people = [box(x, 30, x + 20, 100) for x in (5, 45, 85, 125)]
    frisbees = [box(x + 20, 50, x + 28, 56) for x in (5, 45, 85, 125)]
    segments = [Segment(PERSON, mask) for mask in people]
    segments += [held("frisbee", mask) for mask in frisbees]
    assert names(*segments) == [("frisbee",)] * 4


def test_segments_without_pixels_are_counted_and_left_out() -> None:
    nothing = np.zeros(SIZE, np.bool_)
    result = fuse(
        [Segment(PERSON, nothing), Segment(PERSON, LEFT), held("tie", nothing)], FusionSettings()
    )
    assert result.mattes == []
    assert (result.counts["persons_empty"], result.counts["accessories_empty"]) == (1, 1)


def test_box_rule_asks_where_the_box_lies() -> None:
    # The bag touches both persons alike, but hangs within the left one's box.
    left = LEFT.copy()
    left[40:60, 40:60] = False
    bag = box(40, 45, 60, 55)
    right = box(60, 20, 100, 110)
    segments = Segment(PERSON, left), held("handbag", bag), Segment(PERSON, right)
    assert names(*segments, rule="box") == [("handbag",)]
    outside = Segment(PERSON, LEFT), held("handbag", box(60, 45, 75, 55))
    assert names(*outside, rule="box") == []
    assert names(*outside, rule="contact") == [("handbag",)]


def test_boundary_rule_asks_how_much_is_enclosed() -> None:
    hole = LEFT.copy()
    hole[50:60, 30:45] = False
    enclosed = Segment(PERSON, hole), held("cell phone", box(30, 50, 45, 60))
    beside = Segment(PERSON, LEFT), held("cell phone", box(60, 50, 75, 60))
    assert names(*enclosed, rule="boundary") == [("cell phone",)]
    assert names(*beside, rule="boundary") == []
    whole = Segment(PERSON, LEFT), held("kite", np.ones(SIZE, np.bool_))  # it has no boundary
    assert names(*whole, rule="boundary") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "a"}, "rule must be one of contact, box, boundary, got 'a'"),
        ({"shared": "x"}, "shared must be one of drop-accessory, drop-persons, got 'x'"),
        ({"tau": 0.0}, r"tau must lie in \(0, 1\], got 0.0"),
        ({"contact": 0}, "contact must be at least 1 pixel, got 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FusionSettings(**changes)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), st.sampled_from(["contact", "box", "boundary"]))
def test_every_segment_has_one_fate(seed: int, rule: Any) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 8, (6, 7)), np.ones((9, 9), int))  # a panoptic map
    kinds = [PERSON, PERSON, PERSON, 31, 32, 44, WINE_GLASS, DOG]
    segments = [Segment(kind, labels == k) for k, kind in enumerate(kinds)]
    result = fuse(segments, FusionSettings(rule=rule))
    counts = result.counts
    fates = [counts[f"accessories_{fate}"] for fate in ("apart", "shared", "fused")]
    assert sum(fates) == counts["accessories"]
    assert counts["persons_alone"] + counts["mattes"] == counts["persons"]
    assert counts["accessories_fused"] == sum(len(matte.names) for matte in result.mattes)
    # Disjoint segments stay disjoint: no accessory goes to two persons.
    layers = np.array([matte.mask for matte in result.mattes] or [np.zeros(labels.shape)])
    assert layers.sum(axis=0).max() <= 1


# trimaps


@pytest.mark.parametrize(("area", "kernel"), [(14_400, 10), (1_000, 4), (31_416, 15), (12_000, 9)])
def test_kernel_is_the_root_of_the_area_by_twelve(area: int, kernel: int) -> None:
    assert kernel_size(area) == kernel


def test_kernel_has_limits() -> None:
    assert kernel_size(100, smallest=20) == 20
    assert kernel_size(10**8) == 199
    assert kernel_size(14_400, eta=7) == 17


def test_band_of_a_disc_lies_on_its_edge() -> None:
    y, x = np.mgrid[:301, :301]
    disc = np.hypot(y - 150, x - 150) <= 100
    area = int(disc.sum())
    assert area == pytest.approx(31_416, rel=1e-3)
    trimap = trimap_from_mask(disc, kernel_size(area))
    assert np.unique(trimap).tolist() == [0, 128, 255]
    for line, edge in ((trimap[150, 150:], 100.5), (trimap[150:, 150], 100.5)):
        band = np.flatnonzero(line == 128)
        assert len(band) in (14, 15)
        assert abs((band[0] + band[-1]) / 2 - edge) <= 1
        assert (np.diff(band) == 1).all()
    assert (trimap[disc] != 0).all()
    assert (trimap[~disc] != 255).all()


@pytest.mark.parametrize("kernel", [4, 9, 15])
def test_border_of_the_image_is_no_edge(kernel: int) -> None:
    mask = np.zeros((60, 80), np.bool_)
    mask[30:, :40] = True  # cut off by the left and lower border
    trimap = trimap_from_mask(mask, kernel)
    reach = kernel // 2 + 1
    assert (trimap[30 + reach :, 0] == 255).all()
    assert (trimap[: 30 - reach, 0] == 0).all()
    assert (trimap[-1, : 40 - reach] == 255).all()
    assert (trimap[-1, 40 + reach :] == 0).all()
    assert 128 in trimap[:, 0]


def test_whole_image_is_known() -> None:
    assert (trimap_from_mask(np.ones((9, 12), np.bool_), 5) == 255).all()
    assert (trimap_from_mask(np.zeros((9, 12), np.bool_), 5) == 0).all()


def test_trimap_of_the_complement_is_the_complement() -> None:
    mask = np.kron(np.random.default_rng(0).random((6, 8)) < 0.5, np.ones((9, 9))) > 0
    kernel = 5
    opposite = trimap_from_mask(~mask, kernel)
    np.testing.assert_array_equal(trimap_from_mask(mask, kernel) == 255, opposite == 0)


def test_overlap_by_hand() -> None:
    assert overlap(box(0, 0, 10, 10), box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap(box(0, 0, 0, 0), box(0, 0, 0, 0)) == 1
