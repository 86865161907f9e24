"""What the service may be told: by a file, by the environment, by the command; and the page that says so."""

from pathlib import Path
from typing import Any

import pytest

from api.configured import described, read_settings, show
from api.settings import Settings
from planner.cli import run
from planner.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """Write a file of settings."""

    def write(text: str) -> Path:
        path = tmp_path / "planner.toml"
        path.write_text(text)
        return path

    return write


def problems(config: Path | None, environment: dict[str, str], **given: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_settings(config, environment, given)
    return list(caught.value.problems)


def test_the_command_wins_over_the_environment_and_that_over_the_file(file: Any) -> None:
    """Each setting comes from the strongest source that says it; the rest stay as they are."""
    config = file('data = "from-file"\nworkers = 2\nport = 1\nmax_attempts = 7')
    found = read_settings(config, {"PLANNER_WORKERS": "3", "PLANNER_PORT": "2"}, {"port": 3, "workers": None})
    assert (found.data, found.max_attempts, found.workers, found.port) == (Path("from-file"), 7, 3, 3)
    assert found.host == "127.0.0.1"


def test_without_a_word_it_serves_from_the_users_data_folder() -> None:
    """The data folder is found by the XDG convention."""
    assert read_settings(None, {"XDG_DATA_HOME": "/x"}, {}).data == Path("/x/planner")


def test_what_is_not_known_is_named_with_the_nearest(file: Any) -> None:
    """A slip in the file and one in the environment are told together, each where it is."""
    config = file("wokers = 2")
    assert problems(config, {"PLANNER_DATABSE": "x"}) == [
        f"{config}: wokers: not known; 'workers'?",
        "$PLANNER_DATABSE: not known; 'database'?",
    ]
    (line,) = problems(None, {"PLANNER_ZZZ": "x"})
    assert line.startswith("$PLANNER_ZZZ: not known; allowed are ")


def test_variables_of_other_commands_are_left_alone() -> None:
    """PLANNER_DEBUG is no setting of the service, and no mistake."""
    read_settings(None, {"PLANNER_DEBUG": "1", "PLANNER_CONFIG": "c", "PLANNERS": "p"}, {})


@pytest.mark.parametrize(
    ("environment", "given", "says"),
    [
        ({"PLANNER_WORKERS": "0"}, {}, '$PLANNER_WORKERS: "0": Input should be greater than or equal to 1'),
        ({}, {"workers": 99}, "--workers: 99: Input should be less than or equal to 64"),
        ({"PLANNER_PORT": "http"}, {}, '$PLANNER_PORT: "http": Input should be a valid integer'),
        ({}, {"scenarios": "/nowhere"}, "--scenarios: /nowhere: not a folder"),
        ({}, {"telemetry": "/nowhere.csv"}, "--telemetry: /nowhere.csv: no such file"),
        (
            {"PLANNER_DATABASE": "mysql://a:secret@b/c"},
            {},
            "$PLANNER_DATABASE: mysql: allowed are postgresql and sqlite",
        ),
        ({"PLANNER_SCENARIOS": "[1,"}, {}, "$PLANNER_SCENARIOS: not JSON"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_where_it_was_said(
    environment: dict[str, str], given: dict[str, Any], says: str
) -> None:
    """Source, name, value and what is allowed; of secrets not the value."""
    (line,) = problems(None, environment, **given)
    assert line.startswith(says)
    assert "secret" not in line


def test_a_secret_may_lie_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    """`database_file` is read, an end of line is no part of it, and only the service's own processes get to see it."""
    (tmp_path / "secret").write_text("postgresql://u:hunter2@h/n\n")
    found = read_settings(None, {"PLANNER_DATABASE_FILE": str(tmp_path / "secret")}, {})
    assert found.store == "postgresql+psycopg://u:hunter2@h/n"
    assert "hunter2" not in repr(found) + str(found) + found.model_dump_json()
    assert Settings.from_dict(found.to_dict()) == found


def test_a_secret_is_said_once(tmp_path: Path, file: Any) -> None:
    """Both forms in one place are refused; a stronger place takes the other form's stead; a lost file is named."""
    both = file('database = "sqlite://"\ndatabase_file = "x"')
    assert "only one of them" in problems(both, {})[0]
    assert read_settings(file('database_file = "/nowhere"'), {}, {"database": "sqlite://"}).store == "sqlite://"
    assert problems(None, {"PLANNER_DATABASE_FILE": "/nowhere"}) == [
        "settings: database_file: /nowhere: No such file or directory"
    ]


def test_a_file_that_is_none(tmp_path: Path, file: Any) -> None:
    """A file that is not there, and one that is not TOML, are named."""
    assert problems(tmp_path / "x.toml", {}) == [f"--config: {tmp_path / 'x.toml'}: No such file or directory"]
    assert "not TOML: " in problems(file("a = "), {})[0]


def test_every_setting_is_described() -> None:
    """No setting goes without a meaning."""
    assert [row.name for row in described() if not row.meaning] == []


def test_the_page_of_settings_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/settings.md is what `planner settings --markdown` prints."""
    assert show(None, markdown=True, as_json=False) == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "settings.md").read_text()


def test_a_file_of_settings_is_checked(file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`planner settings --config` refuses a file with a mistake, and shows all settings for a good one."""
    assert run(["settings", "--config", str(file("wokers = 2"))]) == 2
    assert "'workers'?" in capsys.readouterr().err
    assert run(["settings", "--config", str(file("workers = 2"))]) == 0
    assert "PLANNER_DATABASE_FILE" in capsys.readouterr().out
