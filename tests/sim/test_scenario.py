"""Scenario files: all suites load, mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from openaisle.errors import ScenarioError
from openaisle.sim.scenario import SUITES, load_scenario, parse_scenario


@pytest.mark.parametrize("name", SUITES)
def test_suites_load_under_their_own_name(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description


def test_crowd_is_a_crowd_and_faults_skew_clocks() -> None:
    assert load_scenario("crowd").shoppers[0] >= 10
    assert load_scenario("faults").faults.clock_skew_ms == 500
    assert not load_scenario("no-scales").scales


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="neighbours, crowd, hand-over"):
        load_scenario("neighbors")


def test_own_file(tmp_path: Path) -> None:
    path = tmp_path / "evening.yaml"
    path.write_text("name: evening\nshoppers: [2, 5]\nbias: {tiny: 0.3}\n")
    scenario = load_scenario(str(path))
    assert scenario.shoppers == (2, 5)
    assert scenario.bias.tiny == 0.3


def test_all_problems_of_a_file_at_once() -> None:
    with pytest.raises(ScenarioError) as error:
        parse_scenario("name: x\ncrowdd: 3\nbias: {tinny: 1}\nreturn_right: 7\n", "x.yaml")
    places = {problem.place: problem for problem in error.value.problems}
    assert set(places) == {"crowdd", "bias.tinny", "return_right"}
    assert "look_alike, same_weight, tiny" in places["bias.tinny"].fix
    assert all(problem.file == "x.yaml" for problem in error.value.problems)


@pytest.mark.parametrize(
    "text", ["", "- 1\n- 2\n", "name: [\n", "name: x\npicks: [5, 2]\n", "name: x\nquantity: [0, 0]\n"]
)
def test_useless_files_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        parse_scenario(text, "x.yaml")
