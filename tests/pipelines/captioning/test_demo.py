"""The page of `demo`: what it answers, what it refuses, and how it looks in a browser."""

import asyncio
import base64
import http.client
import io
import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import uvicorn
from PIL import Image

from modules.captioning.captioner import Captioner
from pipelines.caption import main
from pipelines.captioning.photographs.demo_server import LARGEST, DemoModel, Library, _answered, application
from pipelines.running.listening import LOOPBACK, listen
from tests.pipelines.captioning.gallery import picture


def encoded(image, kind="PNG"):
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder of two captioned photographs."""
    folder = tmp_path_factory.mktemp("library")
    rows = [{"image": "a.png", "caption": "a dog in the snow"}, {"image": "b.png", "caption": "<b>a cat</b>"}]
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    picture(1).save(folder / "a.png")
    return folder


@pytest.fixture(scope="module")
def port(talkative, folder):
    """Returns the port of a server that answers."""
    listening = listen(0)
    number = listening.getsockname()[1]
    app = application(DemoModel(Captioner.load(talkative)), Library(folder / "captions.jsonl", None), number)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield number
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def ask(port):
    """Returns a function that gives a response's status, headers and body."""

    def ask(method, path, body=None, host=None, **headers):
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", f"{LOOPBACK}:{port}" if host is None else host)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, response.headers, content

    return ask


def test_the_page_loads_nothing_from_elsewhere(ask):
    status, headers, page = ask("GET", "/")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    html = page.decode()
    assert "http://" not in html and "https://" not in html and "//cdn" not in html
    assert 'src="' not in html and "<link" not in html


def test_a_picture_has_three_captions_with_the_attention_of_each_word(ask, talkative):
    status, _, body = ask("POST", "/caption", encoded(picture(3)))
    answer = json.loads(body)
    assert status == 200 and answer["picture"].startswith("data:image/jpeg;base64,") and answer["wrong"] == ""
    assert [each["way"] for each in answer["captions"]] == ["beam", "greedy", "sampled"]
    rows, columns = answer["grid"]
    for each in answer["captions"]:
        assert len(each["words"]) == len(each["alpha"])
        assert all(sum(alpha) == pytest.approx(rows * columns, abs=0.1) for alpha in each["alpha"])
    model = Captioner.load(talkative)
    (expected,) = model.caption_images([np.asarray(picture(3))])
    assert answer["captions"][0]["text"] == expected.text
    cut = encoded(picture(3), "JPEG")[:-40]
    assert json.loads(ask("POST", "/caption", cut)[2])["wrong"].startswith("the picture: is damaged (")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the picture: the file is empty"),
        (b"no picture", "the picture: is no image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "the picture"),
        (b"GIF89a", "the picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "the picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no image"),
    ],
)
def test_what_is_no_picture_is_one_line(ask, data, said, capfd):
    status, _, body = ask("POST", "/caption", data)
    line = json.loads(body)["error"]
    assert status == 422 and said in line and len(line.splitlines()) == 1
    assert capfd.readouterr().err == ""


def test_a_picture_that_is_too_large_is_refused_and_one_of_thirty_megabytes_is_not(ask, capfd):
    status, _, body = ask("POST", "/caption", bytes(LARGEST + 1))
    assert status == 413 and "MB" in json.loads(body)["error"]
    # pixels that nothing compresses
    pixels = np.random.default_rng(0).integers(0, 256, (3200, 3200, 3), dtype=np.uint8)
    large = encoded(Image.fromarray(pixels), "BMP")
    assert len(large) > 30_000_000
    status, _, body = ask("POST", "/caption", large)
    assert status == 200 and json.loads(body)["captions"][0]["words"]
    assert capfd.readouterr().err == ""


def test_ten_at_once_are_all_answered(ask):
    pictures = [encoded(picture(number)) for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda data: ask("POST", "/caption", data), pictures))
    assert [status for status, _, _ in answers] == [200] * 10
    one = json.loads(ask("POST", "/caption", pictures[7])[2])["captions"][0]
    assert json.loads(answers[7][2])["captions"][0] == one


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil:8000"])
def test_a_request_to_another_host_is_refused(ask, host):
    for method, path in (("GET", "/"), ("GET", "/find?q=dog"), ("POST", "/caption")):
        status, _, body = ask(method, path, host=host)
        assert status == 403 and b"dog" not in body


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://localhost"])
def test_a_request_from_another_origin_is_refused(ask, origin):
    assert ask("POST", "/caption", encoded(picture(1)), Origin=origin)[0] == 403


def test_the_own_origin_is_answered(ask, port):
    for name in (LOOPBACK, "localhost"):
        own = f"{name}:{port}"
        assert ask("GET", "/find?q=dog", host=own, Origin=f"http://{own}")[0] == 200


def test_no_other_path_or_method_is_answered(ask):
    for method, path, status in (
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/caption", 405),
        ("PUT", "/", 405),
        ("GET", "/favicon.ico", 204),
    ):
        assert ask(method, path)[0] == status


def test_who_leaves_while_uploading_costs_nothing(port, ask, capfd):
    connection = http.client.HTTPConnection(LOOPBACK, port)
    connection.putrequest("POST", "/caption")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"half a picture")
    connection.close()
    assert ask("GET", "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_the_box_finds_photographs(ask, capfd):
    (found,) = json.loads(ask("GET", "/find?q=dogs")[2])["photographs"]
    assert found["caption"] == "a dog in the snow" and found["picture"].startswith("data:image/jpeg")
    (found,) = json.loads(ask("GET", "/find?q=cat")[2])["photographs"]
    assert found["picture"] == ""
    for query in ("", "%00", "%22", "%F0%9F%90%B6", "%ff"):
        status, _, body = ask("GET", f"/find?q={query}")
        assert status == 422 and "no word to look for" in json.loads(body)["error"]
    assert capfd.readouterr().err == ""


def test_the_box_finds_a_photograph_whose_name_is_no_utf_8(tmp_path):
    (tmp_path / "captions.jsonl").write_text('{"image": "\\udcff.png", "caption": "a dog"}\n')
    picture(1).save(tmp_path / os.fsdecode(b"\xff.png"))
    answer = asyncio.run(_answered(Library(tmp_path / "captions.jsonl", None).answer, "dog"))
    (found,) = json.loads(answer.body)["photographs"]
    assert found["image"] == "\N{REPLACEMENT CHARACTER}.png"
    assert found["picture"].startswith("data:image/jpeg")


def test_the_box_says_which_folder_is_missing_where_it_finds_no_photograph(folder, tmp_path):
    told = Library(folder / "captions.jsonl", tmp_path).answer("dogs")
    missing = f"no photograph lies in {tmp_path}: start it with --images DIR"
    assert told["summary"] == f"1 with all words; {missing}"
    assert [each["picture"] for each in told["photographs"]] == [""]
    assert Library(folder / "captions.jsonl", None).answer("dogs")["summary"] == "1 with all words"
    assert "zebra" in Library(folder / "captions.jsonl", tmp_path).answer("zebra")["summary"]


def test_a_port_that_cannot_be_had_is_one_line(port, capsys):
    for wrong, said in (
        (port, f"port {port} cannot be used (Address already in use); choose another --port"),
        (-1, "port is -1; it has to be from 0"),
        (70000, "port is 70000; it has to be from 0"),
        ("abc", "port is 'abc'; it has to be a whole number"),
    ):
        assert main(["demo", "--port", str(wrong)]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_in_a_browser(port, tmp_path):
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("no chromium and chromedriver on this machine: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1150,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        browser.get(f"http://{LOOPBACK}:{port}/")
        picture(4).save(tmp_path / "picture.png")
        # as a hand drops it: a file of bytes on the window
        browser.execute_script(
            """const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], "picture.png", {type: "image/png"}));
            window.dispatchEvent(new DragEvent("drop", {dataTransfer: carried, cancelable: true}));""",
            base64.b64encode((tmp_path / "picture.png").read_bytes()).decode(),
        )
        expected = WebDriverWait(browser, 60).until(lambda b: b.find_elements(By.CSS_SELECTOR, "#beam .word"))
        time.sleep(4)  # word by word
        words = browser.find_elements(By.CSS_SELECTOR, "#beam .word")
        assert len(words) >= len(expected) >= 1
        canvas = browser.find_element(By.CSS_SELECTOR, "#look canvas")
        assert float(canvas.value_of_css_property("opacity")) == 0
        ActionChains(browser).move_to_element(words[0]).perform()
        WebDriverWait(browser, 10).until(lambda _: float(canvas.value_of_css_property("opacity")) == 1)
        dark = (
            "return [...document.querySelector('#look canvas').getContext('2d')"
            ".getImageData(0, 0, 50, 50).data].some((value) => value > 0)"
        )
        assert browser.execute_script(dark)
        assert browser.save_screenshot(str(tmp_path / "demo.png"))
        # a file that is none is said on the page
        (tmp_path / "wrong.png").write_text("no picture")
        browser.find_element(By.ID, "file").send_keys(str(tmp_path / "wrong.png"))
        said = browser.find_element(By.ID, "said")
        WebDriverWait(browser, 30).until(lambda _: "is no image" in said.text)
        browser.find_element(By.CSS_SELECTOR, "#ask input").send_keys("snow\n")
        WebDriverWait(browser, 30).until(lambda b: b.find_elements(By.CSS_SELECTOR, "#photos img"))
        assert "a dog in the snow" in browser.find_element(By.ID, "photos").text
        errors = [entry for entry in browser.get_log("browser") if "422" not in entry["message"]]
        assert not errors
        sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        addresses = {
            each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"
        }
        assert all(a.startswith((f"http://{LOOPBACK}:{port}/", "data:", "blob:")) for a in addresses), (
            addresses
        )
    finally:
        browser.quit()


def test_a_captioner_whose_captions_have_to_contain_a_word_is_shown_too(talkative):
    model = Captioner.load(talkative)
    model.decoding = replace(model.decoding, must_contain=model.vocabulary.words[-1])
    beam, greedy, sampled = DemoModel(model).answer(encoded(picture(1)))["captions"]
    assert model.vocabulary.words[-1] in beam["words"]
    assert (greedy["way"], sampled["way"]) == ("greedy", "sampled")
