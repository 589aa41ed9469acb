"""Configurations: refusals in one sentence, TOML and YAML, and what of them is saved."""

from pathlib import Path

import pytest
import yaml

from spair.network import PRESETS
from spair.training.config import TrainingConfig
from spair.training.config_file import list_configs, load_config
from spair.training.data.roots import split_reference

SHIPPED = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 5", "steps = 0", r"run.toml: stages.0.steps: Input should be greater than 0, got 0; correct it"),
        (
            "batch = 1",
            "batches = 1",
            r"run.toml: stages.0.batches: unknown entry; did you mean batch\? \(known: train, steps, .*\); correct",
        ),
        ("patch = 16", "patch = 20", "stages.0.patch: .* multiple of 8, got 20"),
        ("patch = 16", "patch = 8", "stages.0.patch: .* greater than or equal to 16, got 8"),
        ('train = "both"', 'train = "net_x"', "stages.0.train: Input should be 'net_l', 'net_r' or 'both'"),
        ("warm_up = 1", "warm_up = 1\nlearning_rate = 0.0", "stages.0.learning_rate: .* greater than 0"),
        ("epoch = 2", "pause = 2", "schedule.pause: unknown entry; expected clip, ema, epoch, validate_every; correct"),
        (
            "[data]",
            "colour = 1\n[data]",
            "run.toml: colour: unknown entry; expected name, task, preset, seed, start, data",
        ),
        ("epoch = 2", "epoch = 2\nema = 1.0", "schedule.ema: .* less than 1"),
        ("epoch = 2", "epoch = 0", "schedule.epoch: .* greater than 0"),
        ("[schedule]", '[loss]\nimage = "huber"\n[schedule]', "loss.image: Input should be 'charbonnier', 'l1' or"),
        ("[schedule]", "[loss]\nequalize = 1.5\n[schedule]", "loss.equalize: .* less than or equal to 1"),
        ("[schedule]", "[loss]\nssim_weight = -1\n[schedule]", "loss.ssim_weight: .* greater than or equal to 0"),
        ('"32-true"', '"fp8"', "hardware.precision: Input should be 'auto'"),
        ("[log]", '[log]\nto = ["wandb"]', "log.to.0: Input should be 'csv' or 'tensorboard', got 'wandb'"),
        ('task = "rain"', 'task = "snow"', "task: Input should be 'rain'"),
        (
            'task = "rain"',
            'task = "blur"',
            r"run.toml: data.transplant = 0.5 .* only rain allows, not blur; use",
        ),
        ('preset = "tiny"', 'preset = "huge"', "preset: Input should be 'tiny', 'base' or 'large'"),
        ('preset = "tiny"', 'preset = "huge"\nseed = -1', r"got 'huge' \(and 1 more\); correct it"),
        ('name = "test"', 'name = "a/b"', "name: String should match pattern"),
        ('name = "test"', 'name = ".."', "name: String should match pattern"),
        ('name = "test"', "", "run.toml: name: this entry is missing; correct it"),
        ("[data]", "[data", "is not valid TOML: .* correct that line"),
        (', target = "clean"', "", "data.pairs.0.target: this entry is missing"),
        ('["photos"]', '"photos"', "data.photos: expected a list, got 'photos'; correct it"),
        (
            '[{ input = "rainy", target = "clean" }]',
            '["rainy"]',
            r"data.pairs.0: expected a table with input, target, mask, got 'rainy'; correct it",
        ),
        (
            "[[stages]]",
            "[stages]",
            r"stages: expected a list, got one table: in TOML a list of tables has its .*\[\[ \]\]",
        ),
        (
            "transplant = 0.5",
            "transplant = 0.9",
            r"data: transplant = 0.9, simulate = 0.2, .* must be at most 1; correct",
        ),
        ("simulate = 0.2", "simulate = 1.2", "data.simulate: .* less than or equal to 1"),
        ("simulate = 0.2", "from_masked = 0.2", "data: from_masked needs photographs with masks: add data.masked"),
        ("simulate = 0.2", "mask_threshold = 255", "data.mask_threshold: .* less than or equal to 254"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(configure, refuse, old, new, message):
    refuse(message, configure, (old, new))


NO_PAIRS = ('pairs = [{ input = "rainy", target = "clean" }]', "")


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.0, 0.9), (0.0, 0.0)])
def test_without_pairs_no_share_may_be_left_to_them(configure, refuse, shares):
    call = lambda: configure(NO_PAIRS, transplant=shares[0], simulate=shares[1])  # noqa: E731
    refuse("pairs and sets are empty, so simulate and from_masked have to add up to 1 and transplant to 0", call)


def test_simulation_needs_clean_pictures_of_pairs_or_photos(configure, refuse):
    no_photos = ('photos = ["photos"]', "")
    for changes in ([NO_PAIRS], [no_photos]):
        assert configure(*changes, transplant=0.0, simulate=1.0).data.simulate == 1.0
    call = lambda: configure(NO_PAIRS, no_photos, transplant=0.0, simulate=1.0)  # noqa: E731
    refuse("simulate needs clean pictures: add photos or pairs", call)


def test_nothing_but_photos_can_be_enlarged(configure, refuse):
    enlarged = ("transplant =", "enlarge = [1.5]\ntransplant =")
    call = lambda: configure(('photos = ["photos"]', ""), enlarged)  # noqa: E731
    refuse("enlarge is for clean photos, but photos is empty: add photos, or remove enlarge", call)


def test_held_out_photos_are_some_of_the_photos(configure, refuse):
    held = ("transplant =", 'held_out_photos = ["1"]\ntransplant =')
    assert configure(held).data.held_out_photos == ("1",)
    call = lambda: configure(('photos = ["photos"]', ""), held)  # noqa: E731
    refuse("held_out_photos names clean photos, but photos is empty: add photos", call)


def test_a_data_set_counts_as_pairs(configure):
    data = configure((NO_PAIRS[0], 'sets = [{ layout = "folders", root = "there", split = "train" }]')).data
    assert (data.sets[0].layout, data.sets[0].split) == ("folders", "train")


@pytest.mark.parametrize(
    ("data_set", "message"),
    [
        ('layout = "snow", root = "there"', "data.sets.0: unknown data set 'snow': choose one of folders, rain100l, "),
        (
            'layout = "deraindrop", root = "there", split = "test"',
            "data.sets.0: deraindrop has no split 'test': choose one of train, test_a, test_b",
        ),
    ],
)
def test_data_sets_that_do_not_exist_are_refused_before_anything_is_read(configure, refuse, data_set, message):
    refuse(message, configure, (NO_PAIRS[0], f"sets = [{{ {data_set} }}]"))


@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.9, 0.1), (0.55, 0.45), (1.0, 0.0), (0.0, 1.0)])
def test_shares_may_add_up_to_the_whole(configure, shares):
    data = configure(transplant=shares[0], simulate=shares[1]).data
    assert (data.transplant, data.simulate) == shares


def test_three_shares_may_add_up_to_the_whole(configure, masked, refuse):
    name, text = masked
    values = {"transplant": 0.7, "simulate": 0.2}  # 0.7 + 0.2 + 0.1 is not 1 in binary
    assert configure((name, f"{text}\nfrom_masked = 0.1"), **values).data.from_masked == 0.1
    refuse("from_masked = 0.2 are shares", lambda: configure((name, f"{text}\nfrom_masked = 0.2"), **values))


def test_masked_photographs_alone_train_only_the_localization(configure, masked, refuse):
    changes = (masked[0], f"{masked[1]}\nfrom_masked = 1.0")
    shares = {"transplant": 0.0, "simulate": 0.0}
    assert configure(changes, stages=[("net_l", 2)], **shares).data.from_masked == 1.0
    refuse("run.toml: data.from_masked = 1 leaves Net_R nothing", lambda: configure(changes, **shares))


def test_net_r_learns_from_the_other_shares_in_their_proportion(configure, masked):
    data = configure((masked[0], f"{masked[1]}\nfrom_masked = 0.5"), transplant=0.25, simulate=0.125).data
    others = data.without_masked()
    assert (others.from_masked, others.transplant, others.simulate) == (0.0, 0.5, 0.25)


@pytest.mark.parametrize("scales", ["[]", "[0]", "[1, 17]", "[1.5]"])
def test_scales_are_whole_factors(configure, refuse, scales):
    assert configure(("transplant =", "scales = [1, 4]\ntransplant =")).data.scales == (1, 4)
    refuse("data.scales", lambda: configure(("transplant =", f"scales = {scales}\ntransplant =")))


def test_stages_are_needed_and_counted(configure, refuse):
    none = ("[data]", "stages = []\n[data]")
    refuse("stages: Tuple should have at least 1 item", lambda: configure(none, stages=[]))
    refuse("stages: this entry is missing", lambda: configure(stages=[]))
    config = configure(("batch = 1", "batch = 3"), stages=[("net_l", 2), ("net_r", 4), ("both", 7)])
    assert [stage.train for stage in config.stages] == ["net_l", "net_r", "both"]
    assert [config.steps_before(stage) for stage in range(4)] == [0, 2, 6, 13]
    assert [config.samples_before(stage) for stage in range(4)] == [0, 6, 18, 39]


def test_a_missing_configuration_and_one_that_cannot_be_parsed_are_refused(tmp_path, refuse):
    names = "give a TOML or YAML file, or one of the names .*quickstart, rain-tiny, "
    refuse(f"none.toml does not exist; {names}", load_config, tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    refuse("latin.toml is not valid TOML", load_config, tmp_path / "latin.toml")
    (tmp_path / "broken.yml").write_text("name: [1\ndata: 2")
    refuse("broken.yml is not valid YAML: .* correct that line", load_config, tmp_path / "broken.yml")


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".YAML"])
def test_yaml_says_the_same_as_toml(configure, folder, suffix):
    config = configure(("warm_up = 1", "learning_rate = 2e-3"), stages=[("net_l", 2), ("both", 3)])
    path = folder / f"run{suffix}"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")).replace("0.002", "2e-3"))  # text to YAML 1.1
    assert "2e-3" in path.read_text()
    assert load_config(path) == config
    assert load_config(path).data.locate() == config.data.locate()


def test_what_is_saved_loads_again(configure):
    saved = configure(stages=[("net_l", 2), ("both", 3)]).model_dump(mode="json")
    assert TrainingConfig.model_validate(saved).model_dump(mode="json") == saved


def test_paths_are_saved_as_written_and_located_beside_the_file(configure, folder, masked, monkeypatch):
    sets = f'{masked[1]}\nsets = [{{ layout = "folders", root = "there" }}]'
    data = configure((masked[0], sets), ('["photos"]', '["../more/photos", "photos"]')).data
    saved = data.model_dump(mode="json")
    assert saved["pairs"] == [{"input": "rainy", "target": "clean", "mask": None}]
    assert saved["photos"] == ["../more/photos", "photos"]
    assert saved["masked"] == [{"input": "wet", "mask": "drops"}]
    assert saved["sets"] == [{"layout": "folders", "root": "there", "split": None}]
    monkeypatch.chdir("/")  # where the process runs does not matter
    located = data.locate()
    assert (located.pairs[0].input, located.pairs[0].mask) == (folder / "rainy", None)
    assert located.photos == (folder / "../more/photos", folder / "photos")
    assert (located.masked[0].mask, located.sets[0].root) == (folder / "drops", folder / "there")


def test_of_absolute_paths_the_last_two_parts_are_saved(configure, folder):
    data = configure(('["photos"]', f'["{folder}/photos", "/photos"]')).data
    assert data.model_dump(mode="json")["photos"] == [f"{folder.name}/photos", "photos"]
    assert data.locate().photos == (folder / "photos", Path("/photos"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_is_valid_and_names_no_folder_but_data_roots(path):
    config = load_config(path)
    assert config.name == path.stem
    assert config.preset in PRESETS
    if path.stem != "quickstart":
        assert config.name.startswith(f"{config.task}-{config.preset}")
    assert {split_reference(folder)[0] for folder in config.data.list_paths()} == set(config.data.roots)
    assert config.start is None or split_reference(config.start)[0] == "runs"
    assert ".." not in path.read_text(encoding="utf-8")
    for root in config.data.roots.values():
        assert root.holds
        assert root.package or split_reference(root.path)[0] in {
            "runs",
            *(f"SPAIR_{name.upper()}" for name in config.data.roots),
        }


@pytest.mark.parametrize("name", list_configs())
def test_a_shipped_configuration_is_known_by_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # a folder of that name is no configuration
    assert load_config(Path(name)).name == name


def test_a_file_comes_before_a_shipped_configuration(configure, folder, monkeypatch):
    configure()
    monkeypatch.chdir(folder)
    (folder / "run.toml").rename(folder / "quickstart")
    assert load_config(Path("quickstart")).name == "test"


def test_configurations_are_shipped():
    assert {"quickstart", "rain-tiny"} <= set(list_configs())


def test_the_quickstart_needs_nothing_but_scikit_image(monkeypatch):
    for name in ("SPAIR_RAIN", "SPAIR_PHOTOS"):
        monkeypatch.delenv(name, raising=False)
    config = load_config(Path("quickstart"))
    paths = config.data.locate().photos
    assert all(path.is_file() for path in paths)
    assert set(config.data.held_out_photos) < {path.stem for path in paths}
    assert (config.start, config.data.pairs, config.data.simulate) == (None, (), 1.0)


@pytest.mark.parametrize(("text", "words"), [("", "nothing"), ("just text", "a str"), ("- 1", "a list")])
def test_a_file_without_named_entries_is_refused(tmp_path, refuse, text, words):
    (tmp_path / "run.yaml").write_text(text)
    refuse(f"holds {words}, expected named entries", load_config, tmp_path / "run.yaml")
    refuse("is a folder, expected a file", load_config, tmp_path)
