# SPDX-License-Identifier: Apache-2.0
"""Names and what they stand for: misses, duplicates, and components inside components."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Annotated

import pytest

from ppzoo import registry
from ppzoo.config import Component
from ppzoo.errors import ConfigError, UnknownNameError
from ppzoo.registry import (
    Registry,
    Supplied,
    build,
    component_registries,
    suggest,
    supplied_names,
)

WHEELS = Registry("wheel")
CARS = Registry("car")


@WHEELS.register()
class Wheel:
    def __init__(self, radius: float = 1.0) -> None:
        self.radius = radius


@CARS.register()
class Car:
    def __init__(
        self,
        front: Annotated[Wheel, WHEELS],
        rear: Annotated[Wheel, WHEELS] | None = None,
        spares: list[Annotated[Wheel, WHEELS]] | None = None,
        named: dict[str, Annotated[Wheel, WHEELS]] | None = None,
        papers: dict[str, object] | None = None,
    ) -> None:
        self.front, self.rear, self.spares = front, rear, spares
        self.named, self.papers = named, papers


def component(name: str, **kwargs: object) -> Component:
    return Component(name=name, kwargs=kwargs, where="here", line=1)


class TestRegister:
    def test_as_decorator_and_as_call(self):
        things = Registry("thing")

        @things.register()
        class First: ...

        class Second: ...

        assert things.register(Second) is Second
        assert things.register(Second, name="another") is Second
        assert things.get("First") is First
        assert things.get("another") is things.get("Second") is Second
        assert things.names() == ["First", "Second", "another"]

    def test_a_name_is_taken_once(self):
        things = Registry("thing")
        things.register(Wheel)
        with pytest.raises(ValueError, match="the thing 'Wheel' is registered already"):
            things.register(Wheel)
        assert things.get("Wheel") is Wheel

    def test_is_a_collection_of_names(self):
        assert "Wheel" in WHEELS
        assert "wheel" not in WHEELS
        assert list(WHEELS) == ["Wheel"]
        assert len(WHEELS) == 1
        assert repr(WHEELS) == "Registry('wheel', 1 entries)"

    def test_a_miss_suggests_what_is_close(self):
        with pytest.raises(UnknownNameError) as raised:
            WHEELS.get("Whel")
        assert str(raised.value) == "no wheel is named 'Whel'; did you mean 'Wheel'?"

    def test_a_wild_miss_suggests_nothing(self):
        with pytest.raises(UnknownNameError) as raised:
            WHEELS.get("Propeller")
        assert str(raised.value) == "no wheel is named 'Propeller'"
        assert isinstance(raised.value, ConfigError)

    def test_suggest_reads_keys_of_any_kind(self):
        assert suggest("beta_1", {"beta1": 0, 2: 0}) == "; did you mean 'beta1'?"
        assert suggest("x", ()) == ""


class TestBuild:
    def test_from_a_mapping(self):
        spec = {"name": "Wheel", "radius": 3.0}
        assert build(WHEELS, spec).radius == 3.0
        assert spec == {"name": "Wheel", "radius": 3.0}

    def test_from_a_component(self):
        assert build(WHEELS, component("Wheel", radius=2.0)).radius == 2.0

    def test_extra_arguments_win(self):
        assert build(WHEELS, {"name": "Wheel", "radius": 3.0}, radius=5.0).radius == 5.0

    @pytest.mark.parametrize("make", [lambda **kw: {"name": "Wheel", **kw}, None])
    def test_components_inside_components(self, make):
        make = make or (lambda **kw: component("Wheel", **kw))
        car = build(
            CARS,
            {
                "name": "Car",
                "front": make(radius=1.0),
                "rear": make(radius=2.0),
                "spares": [make(radius=3.0), make(radius=4.0)],
                "named": {"left": make(radius=5.0)},
            },
        )
        assert [car.front.radius, car.rear.radius] == [1.0, 2.0]
        assert [wheel.radius for wheel in car.spares] == [3.0, 4.0]
        assert {key: wheel.radius for key, wheel in car.named.items()} == {"left": 5.0}

    def test_an_absent_component_stays_absent(self):
        car = build(CARS, {"name": "Car", "front": {"name": "Wheel"}, "rear": None})
        assert car.rear is None

    def test_a_built_object_passes(self):
        wheel = Wheel(7.0)
        assert build(CARS, {"name": "Car", "front": wheel}).front is wheel

    def test_what_no_annotation_claims_is_not_built(self):
        papers = {"owner": component("Wheel", radius=1), "years": (component("Wheel"), 2)}
        car = build(CARS, {"name": "Car", "front": {"name": "Wheel"}, "papers": papers})
        assert car.papers == {
            "owner": {"name": "Wheel", "radius": 1},
            "years": ({"name": "Wheel"}, 2),
        }

    def test_nested_misses_name_the_right_registry(self):
        with pytest.raises(UnknownNameError, match="no wheel is named 'Whee'; did you mean"):
            build(CARS, {"name": "Car", "front": {"name": "Whee"}})

    def test_a_component_needs_a_name(self):
        with pytest.raises(UnknownNameError, match=r"needs a 'name', got the keys \['radius'\]"):
            build(WHEELS, {"radius": 1})

    def test_unknown_arguments_are_refused(self):
        with pytest.raises(TypeError, match="colour"):
            build(WHEELS, {"name": "Wheel", "colour": "red"})


class TestSupplied:
    @staticmethod
    def owner(wheel: Annotated[Callable[..., Wheel], WHEELS, Supplied("radius")]) -> Wheel:
        return wheel(radius=3.0)

    def test_the_owner_builds_with_its_own_arguments(self):
        cars = Registry("car")
        cars.register(self.owner, "owner")
        assert build(cars, component("owner", wheel=component("Wheel"))).radius == 3.0
        assert build(cars, {"name": "owner", "wheel": {"name": "Wheel", "radius": 1}}).radius == 3.0

    def test_an_annotation_tells_the_names(self):
        assert supplied_names(Annotated[int, WHEELS, Supplied("a", "b")]) == ("a", "b")
        assert supplied_names(Annotated[int, WHEELS]) == ()


class TestComponentRegistries:
    def test_of_a_class(self):
        assert component_registries(Car) == dict.fromkeys(
            ("front", "rear", "spares", "named"), WHEELS
        )

    def test_of_a_function(self):
        def fit(wheel: Annotated[Wheel, "a note", WHEELS], torque: float) -> None: ...

        assert component_registries(fit) == {"wheel": WHEELS}

    def test_unreadable_annotations_hold_no_components(self):
        def fit(wheel: NeverDefined) -> None: ...  # noqa: F821

        assert component_registries(fit) == {}


class TestOfPPZoo:
    def test_packages_register_themselves_at_the_first_look_up(self):
        script = (
            "import sys; from ppzoo.registry import MODELS;"
            "assert 'paddle' not in sys.modules, 'import ppzoo.registry imports paddle';"
            "print('GANModel' in MODELS)"
        )
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert run.stdout.split()[-1] == "True"

    @pytest.mark.parametrize(
        ("entries", "names"),
        [
            (registry.MODELS, {"DCGANModel", "GANModel"}),
            (
                registry.GENERATORS,
                {"DCGenerator", "DeepConvGenerator", "ConditionalDeepConvGenerator"},
            ),
            (
                registry.DISCRIMINATORS,
                {
                    "DCDiscriminator",
                    "NLayerDiscriminator",
                    "NLayerDiscriminatorWithClassification",
                },
            ),
            (registry.CRITERIONS, {"GANLoss", "GradientPenalty"}),
            (registry.OPTIMIZERS, {"Adam", "AdamW", "SGD", "Momentum", "RMSProp"}),
            (
                registry.LRSCHEDULERS,
                {"LinearDecay", "MultiStepDecay", "NonLinearDecay", "CosineAnnealingRestartLR"},
            ),
        ],
        ids=lambda value: getattr(value, "label", ""),
    )
    def test_has_paddlegans_names(self, entries, names):
        assert names <= set(entries)
