"""Cameras beside plain RTSP: TLS with and without a known authority, films in a loop, devices that are not there."""

from __future__ import annotations

import errno
import ssl
from pathlib import Path
from threading import Event, Thread

import av
import numpy as np
import pytest

from openaisle.errors import SensorError
from openaisle.messages import VideoFrame, VideoPacket
from openaisle.sensors.camera import CameraReader, CameraWord, explained
from tests.sensors.test_settings import loaded
from tests.service.authority import Authority, new_authority
from tests.sim.test_hardware import CAMERA, PATIENCE_S, Safe, camera
from tests.tokens.corner import HEIGHT_PX, WIDTH_PX

FILM_PICTURES = 5


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Of a shop's cameras."""
    return new_authority(tmp_path / "authority")


def with_paper(authority: Authority, ca_file: str, alternative: str = "IP:127.0.0.1") -> Safe:
    """A camera with a certificate, and whom its reader trusts."""
    paper = authority.issue("camera", alternative)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paper.cert, paper.key)
    return Safe("rtsps", context, ca_file)


@pytest.mark.parametrize("trusting", [True, False])
def test_pictures_come_through_tls(authority: Authority, trusting: bool) -> None:
    safe = with_paper(authority, str(authority.ca.cert) if trusting else "")
    with camera(user="viewer", password="see", credentials="viewer:see@", safe=safe) as one:
        one.send(lambda: len(one.pictures()) >= 4)
    assert one.pictures()[0].keyframe


def test_a_camera_of_another_authority_is_not_looked_at(authority: Authority) -> None:
    stranger = new_authority(authority.folder / "other")
    with camera(credentials="viewer:see@", safe=with_paper(authority, str(stranger.ca.cert))) as one:
        one.send(lambda: len(one.words()) >= 2)  # it is tried again
    assert not one.pictures()
    assert all("not signed by" in words and str(stranger.ca.cert) in words for words in one.words()[:2])
    assert "see@" not in " ".join(one.words())


def test_a_camera_under_another_name_is_not_looked_at(authority: Authority) -> None:
    with camera(safe=with_paper(authority, str(authority.ca.cert), "DNS:elsewhere.example")) as one:
        one.send(lambda: bool(one.words()))
    assert not one.pictures()
    assert "not signed by" in one.words()[0]


def test_a_camera_without_tls_is_told(authority: Authority) -> None:
    with camera(safe=Safe("rtsps")) as one:
        one.send(lambda: bool(one.words()))
    assert not one.pictures()
    assert one.words()[0].startswith("rtsps://127.0.0.1")


def film(path: Path) -> Path:
    """A second of noise."""
    rng = np.random.Generator(np.random.PCG64(2))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for _ in range(FILM_PICTURES):
            rgb = rng.normal(90, 20, (HEIGHT_PX, WIDTH_PX, 3)).clip(0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def read(url: str, pictures: int) -> tuple[list[VideoPacket | VideoFrame], list[str]]:
    """So many pictures of an address, or its first words about trouble."""
    got: list[VideoPacket | VideoFrame] = []
    words: list[str] = []
    stop = Event()

    def put(one: VideoPacket | VideoFrame | CameraWord) -> None:
        if isinstance(one, CameraWord):
            words.extend([one.words] if one.words else [])
        else:
            got.append(one)
        if len(got) >= pictures or (words and not got):
            stop.set()

    thread = Thread(target=CameraReader(CAMERA, url, put, stop).run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    return got, words


@pytest.mark.parametrize("written", ["films/a b.mp4", "file:films/a%20b.mp4", "file://{}/films/a%20b.mp4"])
def test_a_film_plays_in_a_loop_however_its_path_is_written(tmp_path: Path, written: str) -> None:
    (tmp_path / "films").mkdir()
    film(tmp_path / "films" / "a b.mp4")
    url = loaded(tmp_path, f"cameras: {{a: '{written.format(tmp_path)}'}}").cameras["a"]
    got, words = read(url, FILM_PICTURES + 2)
    assert len(got) >= FILM_PICTURES + 2
    assert all(isinstance(one, VideoPacket) for one in got)  # H.264 of the right size passes as it is
    times = [one.time_ns for one in got]
    assert times == sorted(set(times))
    assert words[0].endswith("the connection ended")  # that is where it begins anew


def test_what_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    got, words = read("/dev/video-nowhere", 1)
    assert not got
    assert words[0].startswith("/dev/video-nowhere: No such file or directory: is it plugged in?")
    got, words = read(str(tmp_path / "no.mp4"), 1)
    assert not got
    assert "No such file" in words[0]
    assert "beside it" in words[0]


@pytest.mark.parametrize(
    ("code", "fix"), [(errno.EACCES, "group `video`"), (errno.EBUSY, "another program"), (errno.ENOTTY, "not a camera")]
)
def test_devices_that_cannot_be_used_are_told_with_what_to_do(code: int, fix: str) -> None:
    assert fix in explained("/dev/video0", OSError(code, "no"))


def test_what_is_no_camera_is_told() -> None:
    got, words = read("/dev/null", 1)
    assert not got
    assert "not a camera" in words[0]


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match=r"camera_tls\.ca_file.*no file nowhere\.pem"):
        loaded(tmp_path, "cameras: {a: rtsps://x/1}\ncamera_tls: {ca_file: nowhere.pem}")
