"""The log of a SQLite file."""

from pathlib import Path

from sqlalchemy import text

from api.database.engine import carry_over, engine_of


def test_the_log_is_carried_over_beside_its_writers(tmp_path: Path) -> None:
    """No writer does it at its commit; afterwards the log is begun again, and does not grow."""
    file = tmp_path / "a.sqlite"
    log, engine = Path(f"{file}-wal"), engine_of(f"sqlite:///{file}")

    def write(rows: int) -> int:
        for _ in range(rows):
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO many VALUES (zeroblob(400000))"))
        return log.stat().st_size

    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE many (content BLOB)"))
    before = file.stat().st_size
    grown = write(20)  # 2,000 pages: twice of what SQLite itself would wait for
    assert (file.stat().st_size, grown > 20 * 400_000) == (before, True)
    carry_over(engine)
    assert file.stat().st_size > 20 * 400_000
    assert write(20) <= 1.1 * grown
    engine.dispose()
