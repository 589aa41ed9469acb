"""The page when something goes wrong: refusals, tokens, a busy or absent server, broken answers, and giving up."""

import pytest

from tests.patience import PATIENCE
from tests.serving.page.fake import cut, draw_photo, encode, hold, refuse, reply, restore

TOKEN = "correct-horse-battery"


@pytest.fixture
def page(browser, server):
    browser.open_ready(server.address)
    return browser


def drop(page, name="garden.png"):
    page.hand_over("drop", name, encode(draw_photo(31, 17)))


def wait_restored(page):
    page.wait(lambda: page.find("#result").is_displayed())
    assert not page.find("#notice").is_displayed()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (refuse(400, "cannot read the picture: it is empty"), "Cannot read the picture: it is empty."),
        (refuse(413, "the picture has 9 pixels, at most 4"), "The picture has 9 pixels, at most 4."),
        (refuse(404, "there is no model 'rain_bytes'"), "There is no model 'rain_bytes'."),
        (refuse(504, "the request waited 60 s"), "The request waited 60 s."),
        (refuse(500, "the worker stopped!"), "The worker stopped!"),
        (reply(413, b"<h1>no</h1>", "text/html"), "The photo is larger than this server takes; choose a smaller one."),
        (reply(502, b"", "text/html"), "The server behind this address does not answer; try again in a while."),
        (reply(503, b"{}", "application/json"), "The server is busy; try again in a while."),
        (reply(418, b"[]", "application/json"), "The server refused the request (status 418)."),
        (reply(200, b"hello", "text/plain"), "The server's answer cannot be read: its header is not JSON."),
        (reply(200, b'{"outputs": []}', "text/plain"), "The server's answer cannot be read: it has no file restored."),
    ],
)
def test_an_error_is_told_in_a_sentence_and_the_photo_can_be_sent_again(page, server, answer, sentence):
    server.plan = [answer]
    drop(page)
    page.wait(lambda: page.text("#reason") == sentence)
    assert page.find("#notice").get_attribute("role") == "alert"
    assert not page.find("#progress").is_displayed()
    page.find("#again").click()
    wait_restored(page)


def test_text_of_a_sentence_is_no_markup(page, server):
    server.plan = [refuse(400, "cannot read <img src=x onerror=alert(1)>")]
    drop(page)
    page.wait_text("#reason", "Cannot read <img src=x onerror=alert(1)>")
    assert page.driver.find_elements("css selector", "#reason *") == []


def test_an_error_belongs_to_its_photo(page, server):
    server.plan = [refuse(400, "cannot read the first")]
    drop(page, "first.png")
    drop(page, "second.png")
    wait_restored(page)
    page.find("#strip button:nth-child(1)").click()
    assert page.text("#reason") == "Cannot read the first."
    page.find("#strip button:nth-child(2)").click()
    assert not page.find("#notice").is_displayed()


def test_a_busy_server_is_asked_once_more_after_the_time_that_it_names(page, server):
    server.plan = [refuse(503, "the queue is full", Retry_After="0")]
    drop(page)
    wait_restored(page)
    assert len(server.inferences) == 2


def test_a_server_that_stays_busy_is_asked_no_third_time(page, server):
    server.plan = [refuse(503, "the queue is full", Retry_After="0")] * 2
    drop(page)
    page.wait(lambda: page.text("#reason") == "The queue is full.")
    assert len(server.inferences) == 2


def test_a_busy_server_that_names_no_time_is_not_asked_again(page, server):
    server.plan = [refuse(503, "the server is ending")]
    drop(page)
    page.wait(lambda: page.text("#reason") == "The server is ending.")
    assert len(server.inferences) == 1


def test_the_wait_for_a_busy_server_is_told_and_can_be_given_up(page, server):
    server.plan = [refuse(503, "the queue is full", Retry_After="3600")]
    drop(page)
    page.wait_text("#doing", "The server is busy; trying once more")
    page.find("#cancel").click()
    page.wait(lambda: page.text("#reason") == "Cancelled.")
    page.find("#again").click()
    wait_restored(page)
    assert len(server.inferences) == 2


def test_a_date_names_the_time_as_well(page, server):
    server.plan = [refuse(503, "the queue is full", Retry_After="Thu, 01 Jan 1970 00:00:00 GMT")]
    drop(page)
    wait_restored(page)


def test_a_connection_that_breaks_off_is_told(page, server):
    server.plan = [cut]
    drop(page)
    page.wait_text("#reason", "The server does not answer, or the connection broke.")
    page.find("#again").click()
    wait_restored(page)


def test_a_server_that_went_away_is_told(page, server):
    server.stop()
    drop(page)
    page.wait_text("#reason", "The server does not answer, or the connection broke.")


def test_a_server_without_models_is_told_and_asked_again(browser, server):
    models, server.models = server.models, {}
    browser.open(server.address)
    browser.wait_text("#reason", "This server has no model for photos that is ready.")
    drop(browser)
    server.models = models
    browser.find("#again").click()
    wait_restored(browser)


def test_cancelling_ends_the_request_and_the_next_photo_is_restored(page, server):
    server.plan = [hold]
    drop(page, "first.png")
    page.wait(lambda: len(server.inferences) == 1)
    page.wait_text("#doing", "Restoring")
    drop(page, "second.png")
    page.find("#strip button:nth-child(1)").click()
    page.find("#cancel").click()
    assert server.given_up.wait(PATIENCE)
    page.wait(lambda: page.text("#reason") == "Cancelled.")
    page.wait(lambda: page.find("#strip button:nth-child(2)").get_attribute("data-state") == "done")
    page.find("#again").click()
    wait_restored(page)


def test_a_photo_that_waits_can_be_cancelled_without_being_sent(page, server):
    server.plan = [hold]
    drop(page, "first.png")
    drop(page, "second.png")
    page.wait_text("#doing", "Waiting")
    page.find("#cancel").click()
    page.wait(lambda: page.text("#reason") == "Cancelled.")
    server.release.set()
    page.find("#strip button:nth-child(1)").click()
    wait_restored(page)
    assert len(server.inferences) == 1


def test_a_removed_photo_is_given_up(page, server):
    server.plan = [hold]
    drop(page)
    page.wait(lambda: len(server.inferences) == 1)
    page.find("#remove").click()
    assert server.given_up.wait(PATIENCE)
    assert page.find("#empty").is_displayed()
    assert not page.find("#notice").is_displayed()


def test_a_file_that_changed_since_it_was_chosen_is_told(page, server, photo):
    server.plan = [hold]
    drop(page, "first.png")
    page.wait(lambda: len(server.inferences) == 1)
    page.choose(photo)
    photo.unlink()
    server.release.set()
    page.wait_text("#reason", "The file cannot be read; it was moved or changed")
    assert len(server.inferences) == 1


def give_token(page, token):
    page.find("#token").send_keys(token)
    page.find("#door button").click()


def test_a_token_is_asked_for_checked_and_kept_for_the_tab(browser, server, photo):
    server.token = TOKEN
    browser.open(server.address)
    browser.wait_text("#why", "This server asks for a token.")
    assert browser.focused() == "token"
    assert browser.find("#token").get_attribute("type") == "password"
    give_token(browser, "wrong")
    browser.wait_text("#why", "The token is not this server's; ask who runs it.")
    give_token(browser, TOKEN)
    browser.wait(lambda: browser.find("#model").is_enabled())
    assert not browser.find("#door").is_displayed()
    browser.restore(photo)
    assert server.inferences[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert browser.run("return [sessionStorage.getItem('spair-token'), localStorage.length, document.cookie]") == [
        TOKEN,
        0,
        "",
    ]
    browser.driver.refresh()
    browser.wait(lambda: browser.find("#model").is_enabled())


def test_a_photo_waits_while_the_token_is_asked_for(page, server):
    server.token = TOKEN
    drop(page)
    page.wait_text("#why", "This server asks for a token.")
    page.wait_text("#doing", "Waiting")  # the photo's own request is refused a moment later than another may be
    give_token(page, TOKEN)
    wait_restored(page)


def test_a_photo_chosen_before_the_token_is_restored_after_it(browser, server):
    server.token = TOKEN
    browser.open(server.address)
    browser.wait_text("#why", "This server asks for a token.")
    drop(browser)
    give_token(browser, TOKEN)
    wait_restored(browser)
    assert len(server.inferences) == 1


@pytest.mark.parametrize("answer", [refuse(400, "JPEG does not hold 16 bit"), refuse(401, "a token is wanted")])
def test_a_refused_download_is_told_and_leaves_the_result(page, server, photo, tmp_path, answer):
    server.plan = [restore, answer]
    page.restore(photo)
    page.find("#original").click()
    page.wait(lambda: page.text("#reason") == "JPEG does not hold 16 bit." or page.text("#why"))
    assert page.find("#result").is_displayed()
    if not page.find("#door").is_displayed():
        drop(page, "other.png")
        page.wait(lambda: page.text("#name") == "other.png")
        wait_restored(page)  # without the sentence, which belongs to the first photo
        page.find("#strip button:nth-child(1)").click()
        page.find("#again").click()
    else:
        give_token(page, TOKEN)
        page.find("#original").click()
    page.wait_file(tmp_path / "garden-restored.jpg")
