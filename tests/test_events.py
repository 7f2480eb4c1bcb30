"""The events file: what a reader must survive."""

from launcher.events import EventWriter, Status, parse_event, read_events


def test_events_come_back_in_order_and_from_an_offset(tmp_path):
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.write("step", step=1, loss=0.5)
    first = list(read_events(path))
    writer.write("step", step=2, loss=0.4, note="訓練")
    writer.close()
    assert [event["step"] for event, _ in read_events(path)] == [1, 2]
    assert [event["note"] for event, _ in read_events(path, first[-1][1])] == ["訓練"]


def test_garbage_in_the_middle_is_skipped(tmp_path):
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.write("step", step=1)
    with path.open("ab") as stream:
        stream.write(b'\x00\xff{not json\n[1]\n{"type":3}\n' + b"[" * 100_000 + b"\n")
    writer.write("step", step=2)
    writer.close()
    assert [event["step"] for event, _ in read_events(path)] == [1, 2]


def test_half_a_line_left_by_a_power_cut_does_not_swallow_the_next_event(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"v":1,"t":1,"type":"st')
    writer = EventWriter(path)
    writer.write("step", step=7)
    writer.close()
    assert [event["step"] for event, _ in read_events(path)] == [7]


def test_a_missing_file_has_no_events(tmp_path):
    assert list(read_events(tmp_path / "none")) == []


def test_parse_event_wants_type_and_time():
    assert parse_event(b'{"type":"step","t":1}') == {"type": "step", "t": 1}
    assert parse_event(b'{"type":"step"}') is None


def test_every_status_is_live_or_resumable_or_done():
    groups = {status: (status.is_live, status.is_resumable) for status in Status}
    assert [status for status, group in groups.items() if group == (False, False)] == [Status.SUCCEEDED]
    assert (True, True) not in groups.values()
