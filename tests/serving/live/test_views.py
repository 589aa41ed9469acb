"""Names of views: with and without a model, and what is refused, without secrets."""

import pytest

from spair.runtime.errors import UserError
from spair.serving.live.views import read_views

MODELS = ("rain", "night")


def test_a_view_is_of_the_first_model_unless_one_is_named():
    yard, gate = read_views(["yard=rtsp://me:secret@10.0.0.7:554/a=b", "gate:night=camera:1,size=640x480"], MODELS)
    assert (yard.name, yard.model, yard.source.shown) == ("yard", "rain", "rtsp://***@10.0.0.7:554/a=b")
    assert (gate.name, gate.model, gate.source.number, gate.source.size) == ("gate", "night", 1, (640, 480))
    assert yard.source.address == "rtsp://me:secret@10.0.0.7:554/a=b"


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        (["camera:0"], "--live camera:0 does not begin with a name"),
        (["rtsp://me:secret@host/a"], r"--live rtsp://\*\*\*@host/a does not begin with a name"),
        (["a b=camera:0"], "--live a b=camera:0 does not begin with a name of letters"),
        (["yard:blur=camera:0"], "--live yard:blur is for the model 'blur', and served are rain, night"),
        (["yard:=camera:0"], "is for the model ''"),
        (["yard=clip.mp4"], "yard shows 'clip.mp4', expected a camera or a stream"),
        (["yard=pipe:size=3x5"], "expected a camera or a stream, which can be opened again"),
        (["yard=ftp://host/a"], "streams of ftp:// are not read"),
        (["yard=camera:0", "yard=camera:1"], "--live names yard twice"),
    ],
)
def test_what_makes_no_sense_is_refused(texts, match):
    with pytest.raises(UserError, match=match) as caught:
        read_views(texts, MODELS)
    assert "secret" not in str(caught.value)
