"""Profiles made in Python: what they say, their files, and what cannot be one."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from pydantic import BaseModel

from scouter import ConfigError, MockConfig, ProfileNotFoundError, ScouterError
from scouter.queue import (
    AgentProfile,
    CustomProfile,
    EvalRecord,
    Feature,
    Features,
    FeatureSpec,
    Metric,
    Metrics,
    MetricSpec,
    Profile,
    PsiProfile,
    ScouterQueue,
    SpcProfile,
)

TYPES = {"age": "int", "income": "float", "city": "text", "member": "bool"}


class Frame:
    """What a data frame has: columns by name, each with a type."""

    class Column(list):  # type: ignore[type-arg]
        def __init__(self, dtype: str, values: list[Any]) -> None:
            super().__init__(values)
            self.dtype = dtype

    def __init__(self, **columns: Any) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


class Model(BaseModel):
    age: int
    income: float
    city: str
    member: bool


@dataclasses.dataclass
class Data:
    age: int
    income: float
    city: str
    member: bool


@pytest.mark.parametrize(
    "features",
    [
        {"age": int, "income": float, "city": str, "member": bool},
        {"age": "int", "income": "number", "city": "string", "member": "boolean"},
        {"age": 1, "income": 0.5, "city": "Rome", "member": True},
        {"age": np.int32(1), "income": np.float32(0.5), "city": np.str_("Rome"), "member": np.bool_(True)},
        {"age": [1, 2], "income": [1, 0.5, None], "city": ["a", "b"], "member": [True, False]},
        {"age": np.array([1]), "income": np.array([0.5]), "city": np.array(["a"]), "member": np.array([True])},
        [FeatureSpec(name, kind) for name, kind in TYPES.items()],
        Features({"age": 1, "income": 0.5, "city": "Rome", "member": True}),
        Model,
        Model(age=1, income=0.5, city="Rome", member=True),
        Data,
        Frame(
            age=Frame.Column("int64", []),
            income=Frame.Column("Float64", []),
            city=Frame.Column("object", ["a"]),
            member=Frame.Column("bool", []),
        ),
    ],
    ids=lambda features: type(features).__name__,
)
@pytest.mark.parametrize("kind", [SpcProfile, PsiProfile])
def test_features_are_told_in_every_way(kind: type[SpcProfile], features: object) -> None:
    profile = kind("shop", "model", "1.0.0", features)
    assert {spec.name: spec.type for spec in profile.features} == TYPES
    assert all(spec.required for spec in profile.features)


def test_what_may_be_missing_is_not_required() -> None:
    class Loose(BaseModel):
        a: Optional[int] = None  # noqa: UP045 - the older spelling is as good.
        b: float | None = None
        c: int | float = 0

    features = SpcProfile("s", "n", "1", Loose).features
    assert [(spec.name, spec.type, spec.required) for spec in features] == [
        ("a", "int", False),
        ("b", "float", False),
        ("c", "float", True),
    ]


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"a": object}, "feature 'a' is the class object: give int, float, str or bool"),
        ({"a": None}, "feature 'a' is a value of type NoneType"),
        ({"a": []}, "feature 'a' is a column of nothing"),
        ({"a": [1, "b"]}, "feature 'a' is a column of several types"),
        (5, "features must be a dict of names with types or examples"),
        (["a"], "features must be a list of FeatureSpec, not str"),
        (object, "the class object, which has no annotations"),
    ],
    ids=str,
)
def test_what_is_no_feature(features: object, words: str) -> None:
    with pytest.raises(TypeError, match=words) as caught:
        SpcProfile("s", "n", "1", features)
    assert isinstance(caught.value, ScouterError)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SpcProfile("", "n", "1", {"a": int}), "space is empty"),
        (lambda: SpcProfile("s", "n", "1", {}), r"\$.features: expected at least one, got an empty list"),
        (lambda: SpcProfile("s", "n", "1", {"a": int}, sample_ratio=2), "sample_ratio is 2: give from 0.0"),
        (lambda: SpcProfile("s", "n", "1", {"a": int}, uid=""), "uid is empty"),
        (lambda: SpcProfile("s", "n", "1", [FeatureSpec("a", int, bins=[1])]), 'features.0.: "bins" is not known'),
        (lambda: SpcProfile("s", "n", "1", [FeatureSpec("a", int, limits=(1, 2))]), "give center, lower, upper"),
        (lambda: PsiProfile("s", "n", "1", [FeatureSpec("a", float, bins=[2, 1])]), r"bins.1.: expected more than 2"),
        (lambda: CustomProfile("s", "n", "1", ["a", "a"]), '"a" is there twice'),
        (lambda: AgentProfile("s", "n", "1", [{}]), '"id" is missing'),
        (lambda: Profile("{"), "not JSON"),
        (lambda: Profile("{}"), '"schema_version" is missing'),
        (lambda: Profile.load("/nowhere/profile.json"), "/nowhere/profile.json cannot be read"),
    ],
    ids=str,
)
def test_what_is_no_profile(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert isinstance(caught.value, ScouterError)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for load in (Profile.load, CustomProfile.load, ScouterQueue.from_path, lambda path: ScouterQueue.from_path([path])):
        with pytest.raises(
            FileNotFoundError, match=r"none\.json cannot be read: .*; name a file that is there"
        ) as caught:
            load(tmp_path / "none.json")
        assert isinstance(caught.value, ProfileNotFoundError)
        assert isinstance(caught.value, ConfigError)
    # A folder is there.
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        Profile.load(tmp_path)
    assert not isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, r"\$.schema_version: expected 1, got 2; read it with a newer Scouter"),
        ({"schema_version": "1"}, r'\$.schema_version: expected 1, got "1"'),
        ({"samle_ratio": 0.5}, r'\$: "samle_ratio" is not known, did you mean "sample_ratio"\?'),
        ({"metrics": [{"name": "a"}, {"name": "a"}]}, r'\$.metrics\[1\]: "a" is there twice, remove one'),
        ({"metrics": [{"name": 5}]}, r"\$.metrics\[0\].name: expected text, got 5"),
        ({"metrics": {"name": "a"}}, r"\$.metrics: expected a list, got an object"),
        ({"kind": "costum"}, r'\$.kind: expected spc, psi, custom or agent, got "costum"'),
        ({"sample_ratio": 1.5}, r"\$.sample_ratio: expected a number from 0 to 1, got 1.5"),
        ({"entity": {"space": "s"}}, r'\$.entity: "name" is missing, add it'),
    ],
    ids=str,
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({**PROFILE.to_dict(), **change}))
    for load in (Profile.load, lambda path: ScouterQueue.from_path({"a": path})):
        with pytest.raises(ValueError, match=f"profile.json: profile: {words}") as caught:
            load(file)
        assert isinstance(caught.value, ScouterError)


def test_types_of_arguments() -> None:
    for make, words in [
        (lambda: CustomProfile("s", "n", "1", "cost"), "metrics must be a list of names"),
        (lambda: CustomProfile("s", "n", "1", [5]), "metrics must be a list of names or of MetricSpec, not int"),
        (lambda: AgentProfile("s", "n", "1", ["a"]), "tasks must be a list of dicts, not str"),
        (lambda: AgentProfile("s", "n", "1", [{"id": "a", "x": object()}]), "a value that JSON cannot carry"),
        (lambda: SpcProfile("s", 5, "1", {"a": int}), "name must be a str, not int"),
        (lambda: Profile(5), "text must be the text of a profile file, not int"),
        (lambda: Profile.load(5), "path must be a path, not int"),
    ]:
        with pytest.raises(TypeError, match=words):
            make()


def test_files_come_back_as_what_they_were(tmp_path: Path) -> None:
    for number, profile in enumerate(
        [
            SpcProfile("s", "n", "1", [FeatureSpec("a", int, limits=(0, -1, 1.5), description="d")], description="all"),
            PsiProfile("s", "n", "1", [FeatureSpec("a", str, categories=["x"])], sample_ratio=0.25, alias="mine"),
            CustomProfile("s", "n", "1", {"cost": 2.5, "size": None}),
            AgentProfile("s", "n", "1", [{"id": "t", "assertion": {"kind": "span_exists"}}], uid="mine"),
        ]
    ):
        file = tmp_path / f"{number}.json"
        profile.save(file)
        loaded = Profile.load(file)
        assert (type(loaded), loaded) == (type(profile), profile)
        assert loaded == type(profile).load(str(file)) == Profile.from_json(file.read_text())
        assert json.loads(file.read_text()) == profile.to_dict()
        assert pickle.loads(pickle.dumps(profile)) == copy.deepcopy(profile) == profile
        assert hash(loaded) == hash(profile)
    with pytest.raises(ValueError, match="the profile is of kind agent, not spc"):
        SpcProfile.load(file)


def test_what_a_profile_tells() -> None:
    profile = CustomProfile("shop", "basket", "1.0.0", ["cost"], sample_ratio=0.5, description="of a basket")
    assert (profile.kind, profile.space, profile.name, profile.version) == ("custom", "shop", "basket", "1.0.0")
    assert (profile.alias, profile.sample_ratio, profile.description) == ("basket", 0.5, "of a basket")
    assert profile.metrics == (MetricSpec("cost"),)
    assert profile.uid != CustomProfile("shop", "basket", "1.0.0", ["cost"]).uid
    assert repr(profile) == "CustomProfile(space='shop', name='basket', version='1.0.0')"
    assert AgentProfile("s", "n", "1", [{"id": "t"}]).tasks == ({"id": "t"},)


def test_records_are_values() -> None:
    for record, shown in [
        (Feature("a", 1), "Feature(name='a', value=1)"),
        (Metric("a", 1.5), "Metric(name='a', value=1.5)"),
        (Features({"a": 1, "b": None}), "Features([Feature(name='a', value=1), Feature(name='b', value=None)])"),
        (Metrics([Metric("a", 1)]), "Metrics([Metric(name='a', value=1)])"),
        (EvalRecord({"a": 1}, tags={"b": "c"}), "EvalRecord(context={'a': 1}, tags={'b': 'c'})"),
    ]:
        assert repr(record) == shown
        assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record
        assert record != "a"
    assert Features({"a": 1}) == Features([Feature("a", 1)]) != Features({"a": 2})
    assert (len(Features({"a": 1})), list(Metrics({"a": 1})), Features({"a": 1}).to_dict()) == (
        1,
        [Metric("a", 1)],
        {"a": 1},
    )
    assert (Feature.int("a", 2.0).value, Feature.float("a", 2).value, Feature.string("a", 2).value) == (2, 2.0, "2")
    assert [type(value) for value in (Feature.int("a", 2.0).value, Feature.float("a", 2).value)] == [int, float]
    assert (Feature.int("a", 2.5).value, Feature.int("a", "x").value, Feature.string("a", None).value) == (
        2.5,
        "x",
        None,
    )
    assert len({Feature("a", 1), Feature("a", 1), Metric("a", 1)}) == 2
    for bad in (5, "text", [1], None):
        with pytest.raises(TypeError, match="give a dict, or a Feature for each"):
            Features(bad)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ScouterQueue.from_path("/nowhere.json"), ValueError, "/nowhere.json cannot be read"),
        (lambda: ScouterQueue.from_path({"a": 5}), TypeError, "path must be a path, not int"),
        (lambda: ScouterQueue.from_path(5), TypeError, "path must be a path, or a dict of aliases and paths, not int"),
        (lambda: ScouterQueue.from_profile("a.json"), TypeError, "profile must be a Profile"),
        (lambda: ScouterQueue.from_profile(["a.json"]), TypeError, "profile is a path: use ScouterQueue.from_path"),
        (lambda: ScouterQueue.from_profile([]), ValueError, "a queue has at least one profile"),
        (lambda: ScouterQueue.from_profile([PROFILE, PROFILE]), ValueError, 'two profiles have the alias "n", rename'),
        (lambda: ScouterQueue.from_profile({"": PROFILE}), ValueError, "alias is empty"),
        (
            lambda: ScouterQueue.from_profile(PROFILE, "http://x"),
            TypeError,
            "transport_config is of type str: give Http",
        ),
        (lambda: ScouterQueue.from_profile(PROFILE, batch_config=5), TypeError, "batch_config must be a BatchConfig"),
        (lambda: ScouterQueue.from_profile(PROFILE, service_name=""), ValueError, "service_name is empty"),
        (lambda: ScouterQueue.from_profile(PROFILE, MockConfig()).flush(-1), ValueError, "timeout is -1: give seconds"),
        (lambda: ScouterQueue.from_profile(PROFILE, MockConfig()).flush("1"), TypeError, "timeout must be a number"),
    ],
    ids=str,
)
def test_bad_queues(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        make()
    assert isinstance(caught.value, ScouterError)


PROFILE = CustomProfile("s", "n", "1", ["cost"])
