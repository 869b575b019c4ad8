"""Build what a release consists of and use it as its users will: outside of the checkout, in new environments.

    python tools/check_release.py                          the version as it is
    python tools/check_release.py --tag v0.2.0             what is to be tagged so: names and changelog must fit
    python tools/check_release.py --python 3.12 3.13       other interpreters, paths or names, predict with the wheel
    python tools/check_release.py --torch-from .venv       PyTorch's files are linked from an environment, not copied

The sdist and the wheel are built from the commit that is checked out, so changes that are not committed are refused.
A classifier is fitted with the wheel (`goldenrule demo`), and every other installation has to predict what that one
predicted, to the byte. It prints a table and ends with 1 where something is wrong. It needs pip's index, and some 8 GB
for a while, 2 with --torch-from.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NoReturn

ROOT = Path(__file__).parents[1]
PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".ppm", ".pgm"}
OURS = ("docs/images/", "docs/lessons/", "docs/notebooks/", "tests/files/gradient.heic", "tests/frozen/")
"""Screens, figures and the demo's pictures, made by the scripts in docs/; a drawn picture; features of drawn ones."""
WEIGHTS = {".onnx", ".safetensors", ".pth", ".pt", ".bin", ".npy", ".npz", ".arrow", ".pkl"}
TORCH = ("torch", "nvidia", "triton", "cuda")
MOST_MB = {"wheel": 2.0, "sdist": 15.0}
IN_WHEEL = ("goldenrule/py.typed", "goldenrule/__main__.py", "LICENSE", "METADATA", "entry_points.txt")
IN_SDIST = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "Makefile", "PKG-INFO")
FEW = 40


class Wrong(Exception):
    """What a check found, in a sentence."""


@dataclass
class Table:
    """What was checked so far; every row is printed as it comes."""

    wrong: int = 0
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def check(self, what: str, found: Callable[[], str]) -> bool:
        """Add a row: what a check returns where all is well, or what it raises; return whether all is well."""
        try:
            outcome, said = "ok", found()
        except Wrong as error:
            outcome, said, self.wrong = "WRONG", str(error), self.wrong + 1
        self.rows.append((what, outcome, said))
        print(f"{what:<44} {outcome:<6} {said}", flush=True)
        return outcome == "ok"


def main() -> None:
    """Check everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="under which it is to be released, such as v0.2.0")
    parser.add_argument("--python", nargs="*", default=[], help="other interpreters: paths, or versions such as 3.12")
    parser.add_argument("--torch-from", type=Path, help="link PyTorch from this environment of the same Python")
    parser.add_argument("--dist", type=Path, help="keep sdist and wheel in this folder, which must not be there")
    arguments = parser.parse_args()
    if changed := git("status", "--porcelain"):
        refuse(f"{len(changed.splitlines())} files differ from the commit: commit or stash them first.")
    if arguments.dist and arguments.dist.exists():
        refuse(f"{arguments.dist} is there: name a folder that is not.")
    if arguments.torch_from and not [*arguments.torch_from.glob("lib/python*/site-packages/torch")]:
        refuse(f"{arguments.torch_from} is no environment with PyTorch: wanted one such as .venv.")
    others = [interpreter(name) for name in arguments.python]
    table = Table()
    with tempfile.TemporaryDirectory(prefix="goldenrule-release-") as folder:
        checked(table, Place(Path(folder)), others, arguments)
    print(f"\n{len(table.rows)} checks, {table.wrong} wrong.")
    sys.exit(1 if table.wrong else 0)


def refuse(text: str) -> NoReturn:
    """End with what was found and what to do."""
    print(f"error: {text}", file=sys.stderr)
    sys.exit(2)


@dataclass(frozen=True)
class Place:
    """The folder in which everything happens."""

    root: Path

    @property
    def dist(self) -> Path:
        """Where sdist and wheel lie."""
        return self.root / "dist"

    @property
    def pictures(self) -> Path:
        """What is predicted by every installation."""
        return self.root / "few"

    @property
    def classifier(self) -> Path:
        """What the installation with PyTorch exports."""
        return self.root / "shared"


def checked(table: Table, place: Place, others: Sequence[Path], arguments: argparse.Namespace) -> None:
    """Add every row to the table."""
    version = written_version()
    table.check("names of the version", lambda: names_fit(version, arguments.tag))
    if not table.check("build", lambda: build(place)):
        return
    sdist, wheel = next(place.dist.glob("*.tar.gz")), next(place.dist.glob("*.whl"))
    tracked = git("ls-files").splitlines()
    table.check("wheel: content", lambda: content(wheel, wheel_problems(files_of(wheel), tracked), "wheel"))
    table.check("sdist: content", lambda: content(sdist, sdist_problems(files_of(sdist), tracked), "sdist"))
    table.check("sdist: builds the same wheel", lambda: same_wheel(place, sdist, wheel))
    whole = Installation(place, Path(sys.executable), "whole")
    ready = table.check(
        whole.called("install [demo], with PyTorch"), lambda: whole.install(f"{wheel}[demo]", arguments.torch_from)
    )
    if ready:
        table.check(whole.called("--version"), lambda: whole.version(version))
        table.check(whole.called("doctor"), lambda: whole.run("doctor"))
        if table.check(whole.called("demo"), lambda: whole.run("demo")):
            table.check(whole.called("predict"), whole.predict_with_the_demo)
            table.check(whole.called("share"), whole.share)
    whole.remove()
    for number, python in enumerate([Path(sys.executable), *others]):
        small = Installation(place, python, f"small-{number}")
        if table.check(small.called("install, without PyTorch"), lambda small=small: small.install(str(wheel))):  # type: ignore[misc]
            table.check(small.called("--version"), lambda small=small: small.version(version))  # type: ignore[misc]
            table.check(small.called("predict as with PyTorch"), small.predict_alike)
            table.check(small.called("fit names its extra"), small.fit_is_refused)
        small.remove()
    if arguments.dist:
        shutil.copytree(place.dist, arguments.dist)


# What is built


def written_version() -> str:
    """Return the version that the source says, without importing it."""
    text = (ROOT / "src" / "goldenrule" / "core" / "version.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found
    return found[1]


def names_fit(version: str, tag: str | None) -> str:
    """Compare the version with the citation, and with the tag and the changelog where it is to be released."""
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    if cited is None or cited[1] != version:
        raise Wrong(f"CITATION.cff says {cited[1] if cited else 'none'}, the source {version}")
    if tag is None:
        return f"{version}, no tag asked"
    return tag_fits(tag, version, (ROOT / "CHANGELOG.md").read_text("utf-8"))


def tag_fits(tag: str, version: str, changelog: str) -> str:
    """Return what fits, or raise `Wrong`."""
    if tag != f"v{version}":
        raise Wrong(f"the tag {tag} is not v{version}: set __version__ first")
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        raise Wrong(f"{version} is no version of a release, such as 0.2.0 or 0.2.0rc1")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        raise Wrong(f"CHANGELOG.md has no heading `## [{version}] - DATE`")
    return f"{tag}, CITATION.cff, CHANGELOG.md"


def build(place: Place) -> str:
    """Build both from an export of the commit, which has no .git, in an environment of its own."""
    source = place.root / "source"
    source.mkdir()
    archive = place.root / "source.tar"
    run(["git", "archive", "-o", str(archive), "HEAD"], cwd=ROOT)
    with tarfile.open(archive) as tar:
        tar.extractall(source, filter="data")
    run([sys.executable, "-m", "venv", str(place.root / "build")])
    backend = next(
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("hatchling=")
    )
    run([*pip(place.root / "build"), "install", backend])
    hatchling(place, source, "-t", "sdist", "-t", "wheel", "-d", str(place.dist))
    return f"{backend}, commit {git('rev-parse', '--short', 'HEAD')}"


def hatchling(place: Place, source: Path, *words: str) -> None:
    """Build in a folder."""
    run([str(place.root / "build" / "bin" / "python"), "-m", "hatchling", "build", *words], cwd=source)


def files_of(archive: Path) -> dict[str, bytes]:
    """Return the digest of every file of a wheel, or of an sdist without its folder."""
    found = {}
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            contents = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    else:
        with tarfile.open(archive) as tar:
            members = [one for one in tar.getmembers() if one.isfile()]
            contents = {one.name.partition("/")[2]: tar.extractfile(one).read() for one in members}  # type: ignore[union-attr]
    for name, data in contents.items():
        found[name] = hashlib.blake2b(data).digest()
    return found


def wheel_problems(names: Iterable[str], tracked: Iterable[str]) -> list[str]:
    """Return what is missing, and what should not be in a wheel: whatever git does not know, pictures, weights."""
    names, tracked = set(names), set(tracked)
    source = {name.removeprefix("src/") for name in tracked if name.startswith("src/goldenrule/")}
    lessons = {f"goldenrule/{name}" for name in tracked if re.fullmatch(r"lessons/\w+\.py", name)}
    package = {name for name in names if name.startswith("goldenrule/")}
    rest = {PurePosixPath(name).name for name in names - package}
    return [
        *(f"lacks {name}" for name in IN_WHEEL if name not in package | rest),
        *(f"lacks {name}" for name in sorted((source | lessons) - package)),
        *(f"holds {name}, which git does not know" for name in sorted(package - source - lessons)),
        *(f"holds {name}" for name in sorted(names) if PurePosixPath(name).suffix.lower() in PICTURES | WEIGHTS),
    ]


def sdist_problems(names: Iterable[str], tracked: Iterable[str]) -> list[str]:
    """Return what is missing and what should not be in an sdist: pictures of others, weights, unknown files."""
    names, tracked = set(names), set(tracked)
    needed = {name for name in tracked if name.startswith(("src/", "tests/", "lessons/", "tools/"))}
    odd = [name for name in sorted(names) if PurePosixPath(name).suffix.lower() in PICTURES | WEIGHTS]
    return [
        *(f"lacks {name}" for name in IN_SDIST if name not in names),
        *(f"lacks {name}" for name in sorted(needed - names)),
        *(f"holds {name}, which git does not know" for name in sorted(names - tracked - {"PKG-INFO"})),
        *(f"holds {name}" for name in odd if not name.startswith(OURS)),
    ]


def content(archive: Path, problems: Sequence[str], kind: str) -> str:
    """Return how large an archive is, or raise its problems."""
    megabytes = archive.stat().st_size / 1e6
    if megabytes > MOST_MB[kind]:
        problems = [*problems, f"has {megabytes:.1f} MB, at most {MOST_MB[kind]:.0f} were wanted"]
    if problems:
        raise Wrong("; ".join(problems[:5]) + (f"; {len(problems) - 5} more" if len(problems) > 5 else ""))
    return f"{len(files_of(archive)):,} files, {megabytes:.2f} MB"


def same_wheel(place: Place, sdist: Path, wheel: Path) -> str:
    """Build a wheel from the sdist, as `pip install` of it does, and compare every file."""
    folder = place.root / "from-sdist"
    with tarfile.open(sdist) as tar:
        tar.extractall(folder, filter="data")
    hatchling(place, next(folder.iterdir()), "-t", "wheel", "-d", str(folder / "dist"))
    ours, theirs = files_of(wheel), files_of(next((folder / "dist").glob("*.whl")))
    differ = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if differ:
        raise Wrong(f"{len(differ)} files differ: {', '.join(differ[:5])}")
    return f"{len(ours):,} files, the same bytes"


# What is installed


class Installation:
    """An environment outside of the checkout, and what its user does."""

    def __init__(self, place: Place, python: Path, name: str) -> None:
        self._place, self._python, self._folder = place, python, place.root / name
        self._cache = place.root / f"{name}-cache"
        self._release = said([str(python), "-c", "import platform; print(platform.python_version())"])

    def called(self, what: str) -> str:
        """Return the name of a row."""
        return f"Python {self._release}: {what}"

    def install(self, what: str, torch_from: Path | None = None) -> str:
        """Install with the tested versions, or what pip finds where this Python has none of those."""
        run([str(self._python), "-m", "venv", str(self._folder)])
        install, how = [*pip(self._folder), "install"], "tested versions"
        if torch_from:
            link_torch(torch_from, self._folder)
            how += f", PyTorch linked from {torch_from.name}"
        try:
            run([*install, "-c", str(ROOT / "constraints.txt"), what])
        except Wrong:
            how = "newest versions, not those that were tested"
            run([*install, what])
        has_torch = said([str(self._bin("python")), "-c", FOUND]) == "True"
        if has_torch != what.endswith("]"):
            raise Wrong(f"PyTorch is {'' if has_torch else 'not '}installed")
        (packages,) = (self._folder / "lib").glob("python*/site-packages")
        return f"{megabytes_of(packages):,.0f} MB, {how}"

    def version(self, wanted: str) -> str:
        """Ask the command and the module."""
        module = said([str(self._bin("python")), "-c", "import goldenrule; print(goldenrule.__version__)"])
        found = {self._goldenrule("--version").removeprefix("goldenrule "), module}
        if found != {wanted}:
            raise Wrong(f"says {', '.join(sorted(found))}, the source {wanted}")
        return wanted

    def run(self, *words: str) -> str:
        """Run a command to a good end."""
        return f"{len(self._goldenrule(*words).splitlines())} lines, no error"

    def predict_with_the_demo(self) -> str:
        """Predict some of the demo's pictures with the demo's run."""
        found = sorted(path for path in (self._place.root / "demo" / "textiles").rglob("*") if path.is_file())
        self._place.pictures.mkdir()
        for number, path in enumerate(found[:: max(len(found) // FEW, 1)][:FEW]):
            shutil.copy(path, self._place.pictures / f"{number:02d}{path.suffix}")
        (run,) = (self._place.root / "demo" / "runs").iterdir()
        return self._predicted(run, self._place.root / "run.csv")

    def share(self) -> str:
        """Export the demo's classifier, and predict with it what others are to predict."""
        (run,) = (self._place.root / "demo" / "runs").iterdir()
        self._goldenrule("share", str(run), "-o", str(self._place.classifier))
        rows = self._predicted(self._place.classifier, self._predictions("whole"))
        return f"{megabytes_of(self._place.classifier):,.1f} MB; it predicts {rows}"

    def predict_alike(self) -> str:
        """Predict with the exported classifier; the file has to be that of the installation with PyTorch."""
        mine, whole = self._predictions(self._folder.name), self._predictions("whole")
        if not (self._place.classifier.is_dir() and whole.is_file()):
            raise Wrong("there is no classifier: see above")
        self._predicted(self._place.classifier, mine)
        ours, theirs = mine.read_text().splitlines(), whole.read_text().splitlines()
        differ = sum(one != other for one, other in zip(ours, theirs, strict=False)) + abs(len(ours) - len(theirs))
        if differ:
            raise Wrong(f"{differ} of {len(theirs)} lines differ")
        return f"{len(ours) - 1} rows, the same bytes"

    def _predicted(self, classifier: Path, file: Path) -> str:
        self._goldenrule("predict", str(classifier), str(self._place.pictures), "-o", str(file))
        with file.open(encoding="utf-8", newline="") as rows:
            found = [row["status"] for row in csv.DictReader(rows)]
        if set(found) != {"ok"}:
            raise Wrong(f"{len(found)} rows, of which {len(found) - found.count('ok')} have no prediction")
        return f"{len(found)} rows"

    def fit_is_refused(self) -> str:
        """Ask for what needs the extra: exit code 2, and which one."""
        done = self._command("fit", str(self._place.pictures))
        if done.returncode != 2 or "goldenrule[fit]" not in done.stderr or "Traceback" in done.stderr:
            raise Wrong(f"exit code {done.returncode}: {last_line(done.stderr)}")
        return last_line(done.stderr)

    def remove(self) -> None:
        """Free its disk space."""
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.rmtree(self._cache, ignore_errors=True)

    def _predictions(self, name: str) -> Path:
        return self._place.root / f"{name}.csv"

    def _bin(self, name: str) -> Path:
        return self._folder / "bin" / name

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._bin("goldenrule")), *words]
        environment = outside() | {"GOLDENRULE_CACHE": str(self._cache)}
        return subprocess.run(
            command, cwd=self._place.root, env=environment, capture_output=True, text=True, check=False
        )

    def _goldenrule(self, *words: str) -> str:
        done = self._command(*words)
        if done.returncode or "Traceback" in done.stderr:
            raise Wrong(f"goldenrule {words[0]} ended with {done.returncode}: {last_line(done.stderr or done.stdout)}")
        return done.stdout.strip() or done.stderr.strip() or "nothing said"


FOUND = "from importlib.util import find_spec; print(find_spec('torch') is not None)"


def interpreter(name: str) -> Path:
    """Return the interpreter that a path or a version names, or end with what is there."""
    for path in (Path(name), Path(shutil.which(f"python{name}") or name), *pyenv(name)):
        if path.is_file():
            done = subprocess.run([str(path), "-c", "import venv"], capture_output=True, check=False)
            if done.returncode == 0:
                return path
    refuse(f"There is no Python {name} here: name its path.")


def pyenv(version: str) -> list[Path]:
    """Return the interpreters that pyenv keeps of a version."""
    if not re.fullmatch(r"[\d.]+", version):
        return []
    return sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python"), reverse=True)


def link_torch(source: Path, target: Path) -> None:
    """Link what PyTorch consists of into another environment: pip then finds it there, and no disk is taken."""
    (old,) = (source / "lib").glob("python*/site-packages")
    (new,) = (target / "lib").glob("python*/site-packages")
    for path in old.iterdir():
        if path.name.startswith(TORCH) and not (new / path.name).exists():
            shutil.copytree(path, new / path.name, copy_function=os.link)


def outside() -> Mapping[str, str]:
    """Return the environment without what leads to a checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def pip(environment: Path) -> list[str]:
    """Return the words that call an environment's pip."""
    return [str(environment / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]


def run(command: Sequence[str], cwd: Path | None = None) -> None:
    """Run to a good end, or raise `Wrong` with the last line."""
    done = subprocess.run(command, cwd=cwd, env=outside(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(f"{Path(command[0]).name} {' '.join(command[1:4])}: {last_line(done.stderr or done.stdout)}")


def said(command: Sequence[str]) -> str:
    """Return what a command prints."""
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=outside(), cwd=tempfile.gettempdir()
    ).stdout.strip()


def git(*words: str) -> str:
    """Return what git prints."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:90] if lines else "nothing said"


def megabytes_of(folder: Path) -> float:
    """Return the megabytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
