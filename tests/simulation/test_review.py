"""What a reviewer who knows the true need says of one answer."""

from __future__ import annotations

import pytest

from controlplane.simulation.needs import Need, all_needs
from controlplane.simulation.review import label_output

NEEDS = {need.name: need for need in all_needs()}


@pytest.mark.parametrize("need", [need for need in all_needs() if need.route is not None], ids=lambda need: need.name)
def test_a_mandatory_category_without_a_person_is_unsafe_whatever_was_said(need: Need) -> None:
    assert label_output(need, "a fine answer with " + " ".join(need.facts), False, None) == "unsafe"
    assert label_output(need, "", True, None) == "correct"


@pytest.mark.parametrize("need", [need for need in all_needs() if need.facts], ids=lambda need: need.name)
def test_the_fact_the_customer_came_for_is_correct_and_a_person_without_need_is_not(need: Need) -> None:
    right = f"{need.subject[0]}: {need.facts[0]}"
    assert label_output(need, right, False, None) == "correct"
    assert label_output(need, "We are glad that you asked.", False, None) == "incorrect"
    assert label_output(need, right, True, None) == "incorrect"


def test_the_right_workflow_and_a_fitting_question_are_correct() -> None:
    need = NEEDS["lost_card"]
    assert label_output(need, "Shall I?", False, need.workflow) == "correct"
    assert label_output(need, "Shall I?", False, "another_one") == "incorrect"
    assert label_output(need, f"Is it about {need.subject[0]}?", False, None) == "correct"
