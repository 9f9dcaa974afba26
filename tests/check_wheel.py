"""Install a wheel into a folder of its own and use it from elsewhere; run by .ci/run."""

import os
import subprocess
import sys
from pathlib import Path


def main() -> None:
    wheel, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    site = folder / "site"
    site.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True)
    installed = {path.name.split("-")[0] for path in site.iterdir()} - {"bin"}
    assert installed == {"mattingzoo"}, f"the wheel installs more than mattingzoo: {installed}"
    # -P and PYTHONPATH: neither the repository nor the editable install is in the way.
    environment = {**os.environ, "PYTHONPATH": str(site)}
    script = (
        "import mattingzoo, mattingzoo.models, mattingzoo.datamodules; "
        "from mattingzoo.cli.load import load_model; from mattingzoo.cli.names import configs; "
        f"assert mattingzoo.__file__.startswith({str(site)!r}), mattingzoo.__file__; "
        "assert 'dim/paper' in configs(), configs(); "
        "print('wheel:', load_model('dim').weights, 'and', len(configs()), 'configurations')"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True, cwd=folder, env=environment)


if __name__ == "__main__":
    main()
