"""Do on this machine, by pip, what Binder does for this repository, with the versions it has there.

    pip install jupyter-repo2docker
    python tools/replay_binder.py FOLDER --python python3.12

repo2docker writes the Dockerfile that Binder would build (neither Docker nor a network is needed
for that). Replayed in FOLDER are: its base environment, of which Jupyter's own packages get the
versions that the lock file of repo2docker pins, where environment.yml allows them; the names and
bounds of the environment.yml that it picks; a copy of what is committed; and binder/postBuild. Not
replayed is the solve by conda itself.
Afterwards FOLDER/binder/bin/python is Binder's Python, and FOLDER/home the checkout it works on:

    cd FOLDER/home
    ../binder/bin/python tools/measure_notebook.py --brief --gigabytes 1.5 notebooks/*.ipynb
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
# What a pip environment does not have, or has under another name.
_CONDA_ONLY = {"python", "pip", "python_abi", "conda", "mamba"}


def dockerfile(repository: Path) -> str:
    """What repo2docker would build of a folder."""
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(repository)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def chosen(text: str) -> tuple[str, str, str]:
    """Of a Dockerfile the Python version, the environment file, and the script run at the end."""
    plain = re.sub(r"-([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)  # as it escapes names
    python = re.search(r"environment\.py-(\d\.\d+)-linux-64\.lock", plain)
    environment = re.search(r"^COPY --chown=\S+ src/(\S+environment\.yml) ", text, re.M)
    script = re.search(r"^RUN \./(\S*postBuild)$", text, re.M)
    missing = [
        name
        for name, found in zip(
            ("base environment", "environment.yml", "postBuild"),
            (python, environment, script),
            strict=True,
        )
        if found is None
    ]
    if missing:
        raise ValueError(f"The Dockerfile has no {', no '.join(missing)}: Binder ignores it.")
    return python[1], environment[1], script[1]


def pinned(lock: str) -> list[str]:
    """Of a lock file of conda the Python packages, as pip writes their versions."""
    found = re.findall(r"/(?:noarch|linux-64)/(.+)-([^-/]+)-(py[^-/]*)\.conda", lock)
    return [f"{name}=={version}" for name, version, _ in found if name not in _CONDA_ONLY]


def wanted(environment: str) -> list[str]:
    """Of an environment.yml what pip has."""
    names = yaml.safe_load(environment)["dependencies"]
    return [name for name in names if re.split(r"[=<>]", name)[0] not in _CONDA_ONLY]


def allowed(pins: Sequence[str], names: Sequence[str]) -> list[str]:
    """Without the pins that an environment.yml does not want; conda takes other versions then."""
    bounds = {wish.name: wish.specifier for wish in map(Requirement, names)}
    anything = SpecifierSet()
    versions = [pin.partition("==")[::2] for pin in pins]
    return [f"{n}=={version}" for n, version in versions if version in bounds.get(n, anything)]


def run(command: Sequence[str | Path], **more: object) -> None:
    subprocess.run([str(part) for part in command], check=True, **more)


def replay(folder: Path, python: str) -> None:
    version, environment, script = chosen(dockerfile(ROOT))
    lock = resources.files("repo2docker") / "buildpacks" / "conda"
    lock = (lock / f"environment.py-{version}-linux-64.lock").read_text()
    home, binder = folder / "home", folder / "binder"
    folder.mkdir(parents=True)
    run(["git", "clone", "--quiet", ROOT, home])
    run([python, "-m", "venv", binder])
    mine = subprocess.run(
        [binder / "bin" / "python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if mine != version:
        raise SystemExit(f"Binder takes Python {version}, but {python} is {mine}.")
    names = wanted((home / environment).read_text())
    (folder / "pins.txt").write_text("\n".join(allowed(pinned(lock), names)) + "\n")
    pip = [binder / "bin" / "pip", "install", "--quiet"]
    run([*pip, "--constraint", folder / "pins.txt", "notebook", *names])
    path = f"{binder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    run(["./" + script], cwd=home, env=os.environ | {"PATH": path})
    run([binder / "bin" / "pip", "check"])
    print(f"Python {version}, {environment}, {script}: done as Binder does, in {folder}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a new one")
    parser.add_argument("--python", default="python3.12", help="the program")
    options = parser.parse_args()
    replay(options.folder.resolve(), options.python)


if __name__ == "__main__":
    main()
