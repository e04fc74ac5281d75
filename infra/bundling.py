"""Bundles for Lambda, made without Docker: wheels of the target platform, cut to what each function uses.

Everything is kept in `.build/` under a digest of what it was made from, and put there whole by a rename:
the same sources make the same bundle, and two syntheses at once don't disturb each other.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

COMMON = ("aws-lambda-powertools", "boto3", "pydantic")
DEPENDENCIES = {
    "poller": (*COMMON, "aiohttp"),
    "publisher": COMMON,
    "slack_notifier": (*COMMON, "httpx"),
    "webhook_notifier": (*COMMON, "httpx", "standardwebhooks"),
    "registrar": COMMON,
    "auditor": COMMON,
}
"""What each function imports, by distribution; theirs follow by themselves."""

NOT_DEPLOYED = ("api", "cli", "local", "__pycache__")
"""Rooms of pollbridge that no function enters."""

AWS_SERVICES = ("dynamodb", "events", "secretsmanager", "sqs")
"""All that a function may call; botocore's other 400 descriptions stay at home."""

PACKAGING = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
SOURCES = frozenset({".c", ".h", ".pxd", ".pyi", ".pyx"})


class CannotBundle(Exception):
    """A bundle cannot be made; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Where bundles will run."""

    name: str
    python: str
    tags: tuple[str, ...] = ()
    """Wheel platforms, best first; none means this machine."""
    markers: Mapping[str, str] = field(default_factory=dict)
    """What the platform's environment markers are, where they differ from this machine's."""

    @property
    def wheels(self) -> list[str]:
        """Options that make pip choose this platform's wheels."""
        if not self.tags:
            return []
        platforms = [option for tag in self.tags for option in ("--platform", tag)]
        return [*platforms, "--python-version", self.python, "--implementation", "cp"]

    @property
    def interpreter(self) -> str | None:
        """This machine's Python of the platform's version, if it has one."""
        return sys.executable if self.python == HOST_PYTHON else shutil.which(f"python{self.python}")


HOST_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCAL = Platform(name="local", python=HOST_PYTHON)
AWS = Platform(
    name="aws",
    python="3.14",
    tags=("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    markers={
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": "3.14.0",
        "python_version": "3.14",
        "sys_platform": "linux",
    },
)


@dataclass(frozen=True, kw_only=True)
class Bundler:
    """Makes the folders that functions are deployed from."""

    root: Path
    platform: Platform
    configuration: str
    """JSON, put into each bundle as `pollbridge.json`."""

    def folder(self, function: str) -> Path:
        """The function's bundle. Raises CannotBundle."""
        if not (self.root / "functions" / function / "handler.py").is_file():
            raise CannotBundle(f"functions/{function}/handler.py: there is no such file")
        installed = self._installed()
        ours = dict(self._ours(function))
        key = _digest(installed.name, self.configuration, *(f"{to}={_digest(ours[to])}" for to in sorted(ours)))

        def fill(folder: Path) -> None:
            for destination, content in ours.items():
                _put(folder / destination, content)
            _put(folder / "pollbridge.json", self.configuration.encode())
            self._compile(folder)
            for file in _closure(DEPENDENCIES[function], installed, self.platform.markers):
                _put(folder / file, (installed / file).read_bytes())

        return _once(self.root / ".build" / f"{self.platform.name}-{function}-{key}", fill)

    def _ours(self, function: str) -> Iterator[tuple[str, bytes]]:
        """Our own files: where they go in the bundle, and what is in them."""
        yield "handler.py", (self.root / "functions" / function / "handler.py").read_bytes()
        source = self.root / "src"
        for path in sorted((source / "pollbridge").rglob("*")):
            file = path.relative_to(source)
            if path.is_file() and file.parts[1] not in NOT_DEPLOYED and "__pycache__" not in file.parts:
                yield file.as_posix(), path.read_bytes()

    def _installed(self) -> Path:
        """Every runtime dependency for the platform, installed from the lock and compiled."""
        lock = self.root / "requirements" / "runtime.txt"
        key = _digest(lock.read_bytes(), Path(__file__).read_bytes(), repr((self.platform, self.platform.interpreter)))

        def install(folder: Path) -> None:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes"]
            wheels = ["--only-binary=:all:", *self.platform.wheels, "--target", str(folder)]
            pipped = subprocess.run([*pip, *wheels, "-r", str(lock)], capture_output=True, text=True, check=False)
            if pipped.returncode:
                raise CannotBundle(f"requirements/runtime.txt: {_last_line(pipped.stderr)}")
            if not self.platform.interpreter:
                print(
                    f"pollbridge: no python{self.platform.python} here, so the bundles hold no bytecode: "
                    "cold starts take longer",
                    file=sys.stderr,
                )
            self._compile(folder)

        return _once(self.root / ".build" / f"{self.platform.name}-{key}", install)

    def _compile(self, folder: Path) -> None:
        """Add bytecode that is never checked against its source: Lambda can't write any itself."""
        if self.platform.interpreter:
            compileall = [self.platform.interpreter, "-m", "compileall", "-q", "-j", "0"]
            where = ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/var/task", str(folder)]
            subprocess.run([*compileall, *where], capture_output=True, check=False)


def _closure(names: Iterable[str], installed: Path, markers: Mapping[str, str]) -> Iterator[PurePath]:
    """The files of these distributions and of all that they require on the platform."""
    found = {canonicalize_name(d.name): d for d in distributions(path=[str(installed)])}
    wanted, seen = [Requirement(name) for name in names], set[tuple[str, str]]()
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name not in found:
            raise CannotBundle(f"requirements/runtime.txt: lacks {name}: run `make lock`")
        for extra in {"", *requirement.extras} - {extra for one, extra in seen if one == name}:
            if not extra:
                yield from _files(found[name], installed)
            seen.add((name, extra))
            wanted += _required(found[name], extra, markers)


def _required(distribution: Distribution, extra: str, markers: Mapping[str, str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, distribution.requires or ()):
        if not requirement.marker:
            yield requirement
        elif requirement.marker.evaluate({**markers, "extra": extra}):
            yield requirement


def _files(distribution: Distribution, installed: Path) -> Iterator[PurePath]:
    for file in distribution.files or ():
        if _used(file) and (installed / file).is_file():
            yield file
            if file.suffix == ".py":
                bytecode = (installed / file.parent / "__pycache__").glob(f"{file.stem}.*.pyc")
                yield from (path.relative_to(installed) for path in bytecode)


def _used(file: PurePath) -> bool:
    match file.parts:
        case ("..", *_) | ("bin", *_) | ("boto3", "examples", *_):
            return False
        case ("boto3" | "botocore", "data", service, _, *_):
            return service in AWS_SERVICES
        case ("aws_lambda_powertools", "event_handler", *_):
            return False
    return file.name not in PACKAGING and file.suffix not in SOURCES and "tests" not in file.parts


def _once(target: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made if it isn't there: as a whole or not at all, whoever else makes it meanwhile."""
    if not target.is_dir():
        target.parent.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix="making-") as place:
            folder = Path(place) / target.name
            folder.mkdir()
            make(folder)
            try:
                folder.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    return target


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _digest(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return whole.hexdigest()[:16]


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "pip failed and said nothing")
