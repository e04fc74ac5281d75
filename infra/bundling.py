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
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

COMMON = ("aws-lambda-powertools", "botocore", "pydantic")
DEPENDENCIES = {
    "poller": (*COMMON, "aiohttp"),
    "publisher": COMMON,
    "slack_notifier": (*COMMON, "httpcore"),
    "webhook_notifier": (*COMMON, "httpcore", "standardwebhooks"),
    "registrar": COMMON,
    "auditor": COMMON,
    "api": COMMON,
}
"""What each function imports, by distribution; theirs follow by themselves."""

NOT_DEPLOYED = ("api", "cli", "local", "__pycache__")
"""Rooms of pollbridge that no function enters, but for the one that is called so."""

AWS_SERVICES = ("dynamodb", "events", "secretsmanager", "sqs")
"""All that a function may call; botocore's other 400 descriptions stay at home."""

MORE = {"api": ("aws_lambda_powertools/event_handler", "botocore/data/cloudformation")}
"""Folders of its distributions that a function takes and the others leave at home."""

PACKAGING = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
UNREAD = frozenset({".c", ".h", ".pxd", ".pyc", ".pyi", ".pyx"})


class CannotBundle(Exception):
    """A bundle cannot be made; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Where bundles will run."""

    name: str
    python: str
    tags: tuple[str, ...] = ()
    """Wheel platforms, best first; none means this machine, and what is installed on it."""
    markers: Mapping[str, str] = field(default_factory=dict)
    """What the platform's environment markers are, where they differ from this machine's."""

    @property
    def interpreter(self) -> str | None:
        """The Python of the platform's version on this machine, if there is one."""
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
            for distribution in _closure(DEPENDENCIES[function], self.platform, [str(installed)]):
                for file in _with_bytecode(_files(distribution, [function]), installed):
                    _put(folder / file, (installed / file).read_bytes())

        return _once(self.root / ".build" / f"{self.platform.name}-{function}-{key}", fill)

    def _ours(self, function: str) -> Iterator[tuple[str, bytes]]:
        """Our own files: where they go in the bundle, and what is in them."""
        yield "handler.py", (self.root / "functions" / function / "handler.py").read_bytes()
        source = self.root / "src"
        for path in sorted((source / "pollbridge").rglob("*")):
            file = path.relative_to(source)
            room = file.parts[1]
            if path.is_file() and (room == function or room not in NOT_DEPLOYED) and "__pycache__" not in file.parts:
                yield file.as_posix(), path.read_bytes()

    def _installed(self) -> Path:
        """Every runtime dependency for the platform, as locked, and compiled."""
        lock = self.root / "requirements" / "runtime.txt"
        wanted = sorted({name for names in DEPENDENCIES.values() for name in names})
        here = [] if self.platform.tags else list(_closure(wanted, self.platform, sys.path))
        versions = [f"{distribution.name}=={distribution.version}" for distribution in here]
        made_from = repr((self.platform, self.platform.interpreter, versions))

        def install(folder: Path) -> None:
            if self.platform.tags:
                _download(lock, self.platform, folder)
            for distribution in here:
                for file in (*_files(distribution, DEPENDENCIES), *_record(distribution)):
                    _put(folder / file, Path(str(distribution.locate_file(file))).read_bytes())
            self._compile(folder)

        key = _digest(lock.read_bytes(), Path(__file__).read_bytes(), made_from)
        return _once(self.root / ".build" / f"{self.platform.name}-{key}", install)

    def _compile(self, folder: Path) -> None:
        """Add bytecode that is never checked against its source: Lambda can't write any itself."""
        if self.platform.interpreter:
            compileall = [self.platform.interpreter, "-m", "compileall", "-q", "-j", "0"]
            where = ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/var/task", str(folder)]
            subprocess.run([*compileall, *where], capture_output=True, check=False)


def _download(lock: Path, platform: Platform, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes"]
    wheels = [f"--python-version={platform.python}", "--implementation=cp", "--only-binary=:all:"]
    platforms = [f"--platform={tag}" for tag in platform.tags]
    done = subprocess.run(
        [*pip, *wheels, *platforms, f"--target={folder}", f"--requirement={lock}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotBundle(f"requirements/runtime.txt: {_last_line(done.stderr)}")
    if not platform.interpreter:
        sys.stderr.write(f"pollbridge: no python{platform.python} here: bundles without bytecode start slower\n")


def _closure(names: Iterable[str], platform: Platform, path: list[str]) -> Iterator[Distribution]:
    """These distributions and all that they require on the platform, from what is installed in the path."""
    found = {canonicalize_name(distribution.name): distribution for distribution in distributions(path=path)}
    wanted, seen = [Requirement(name) for name in names], set[tuple[str, str]]()
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name not in found:
            raise CannotBundle(f"{name} is missing: run `make lock install`")
        if (name, "") not in seen:
            yield found[name]
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                wanted += _required(found[name], extra, platform)


def _required(distribution: Distribution, extra: str, platform: Platform) -> Iterator[Requirement]:
    environment = {**platform.markers, "extra": extra}
    for requirement in map(Requirement, distribution.requires or ()):
        if not requirement.marker or requirement.marker.evaluate(environment):
            yield requirement


def _files(distribution: Distribution, functions: Iterable[str]) -> list[PurePath]:
    """What the bundles of these functions take of a distribution."""
    more = {PurePath(folder) for function in functions for folder in MORE.get(function, ())}
    return [file for file in distribution.files or () if _used(file, more)]


def _record(distribution: Distribution) -> list[PurePath]:
    """The list of a distribution's files."""
    return [file for file in distribution.files or () if file.name == "RECORD"]


def _with_bytecode(files: Iterable[PurePath], folder: Path) -> Iterator[PurePath]:
    for file in files:
        yield file
        if file.suffix == ".py":
            compiled = (folder / file.parent / "__pycache__").glob(f"{file.stem}.*.pyc")
            yield from (path.relative_to(folder) for path in compiled)


def _used(file: PurePath, more: AbstractSet[PurePath]) -> bool:
    match file.parts:
        case ("..", *_) | ("bin", *_) | (*_, "swagger_ui", _):
            return False
        case ("botocore", "data", service, _, *_) if service not in AWS_SERVICES and more.isdisjoint(file.parents):
            return False
        case ("aws_lambda_powertools", "event_handler", *_) if more.isdisjoint(file.parents):
            return False
    return file.name not in PACKAGING and file.suffix not in UNREAD and "tests" not in file.parts


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
