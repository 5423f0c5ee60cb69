"""The page in a headless Chromium: it paints what the program paints, and refuses files of others.

`make browser` fetches onnxruntime-web and runs it.
"""

import os
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from chromium import Chromium, find_chromium
from page_noise import page_noise
from PIL import Image

import histosynth as hs
from histosynth.model.conditioning import conditions_of, encode_conditions
from histosynth.sampling.few_steps import with_few_steps
from histosynth.sampling.painter import decode_canonical, paint_latents
from histosynth.sampling.settings import adapter_settings, palette_appearance
from histosynth.tissue.nucleus_sizes import draw_shapes

serve = pytest.importorskip("serve")
RUNTIME = os.environ.get("HISTOSYNTH_ORT_WEB", "")
LOOK = "stain-3"
LABEL = "colorectum"
SEED = 7
LAYOUT = 2
SIZE = (256, 256)
OPTIONS = f"engine=wasm&seed={SEED}&look={LOOK}&label={LABEL}&layout={LAYOUT}"
STATE = "document.documentElement?.dataset.state"
RGB = """(() => {
  const canvas = document.getElementById("picture");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return Array.from(data).filter((_, index) => index % 4 !== 3);
})()"""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed"),
    pytest.mark.skipif(not RUNTIME, reason="HISTOSYNTH_ORT_WEB names no folder: make browser"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The compact bundle as ONNX."""
    out = tmp_path_factory.mktemp("exported") / "model"
    hs.export_onnx(out=out)
    return out


@contextmanager
def served(model, runtime=Path(RUNTIME)):
    """The address of the page while it is served."""
    server = serve.make_server(model, runtime)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def browser(tmp_path):
    with Chromium(tmp_path / "profile", size=(1200, 1000)) as opened:
        yield opened


def end_of(browser, *states, seconds=240):
    states = list(states)
    return browser.wait(f"{states}.includes({STATE}) && {STATE}", seconds)


def picture(browser):
    """The picture that the page shows at 1:1, (256, 256, 3)."""
    browser.value(
        "(() => { const zoom = document.getElementById('zoom'); zoom.value = '1';"
        " zoom.dispatchEvent(new Event('change')); })()"
    )
    return np.array(browser.value(RGB), np.int16).reshape(256, 256, 3)


def nuclei_of(model, number):
    layout = model.info.layouts[number]
    names = [model.info.classes[class_id] for class_id in layout.class_ids]
    xy = np.stack([layout.x, layout.y], axis=1)
    nuclei = hs.Nuclei.of(xy, names, size=SIZE, mpp=model.info.mpp, classes=model.info.classes)
    return draw_shapes(nuclei, model.info.sizes, seed=SEED)


@pytest.fixture(scope="module")
def expected(exported):
    """What torch paints of the same nuclei, noise and look, (256, 256, 3)."""
    bundle = hs.open_bundle(device="cpu", dtype="fp32")
    model = hs.open_onnx(exported, threads=1)
    shape = model.noise_shape(SIZE)
    noise = page_noise(SEED, np.prod(shape)).reshape(1, *shape)
    appearance = palette_appearance(LOOK, bundle)
    condition = hs.Condition(nuclei_of(model, LAYOUT), hs.Nuclei.none(SIZE, 0.5, ()).size, LABEL)
    given = conditions_of(condition, appearance, bundle.label_index(LABEL))
    conditioning = encode_conditions(
        [given], bundle.info, size=condition.size, grid_px=bundle.grid_px
    )
    used, settings = with_few_steps(bundle, "global", adapter_settings(bundle, "global"))
    merged = bundle.with_merged_adapter(used)
    latents = paint_latents(
        merged, conditioning.maps, conditioning.style, torch.from_numpy(noise), settings
    )
    return appearance.apply(decode_canonical(merged, latents)[0].numpy())


@pytest.mark.parametrize("threads", [1, 2])
def test_the_page_paints_what_the_program_paints(exported, expected, browser, threads):
    with served(exported) as address:
        browser.open(f"{address}?{OPTIONS}&grain=0&paint=1&threads={threads}")
        assert end_of(browser, "painted", "refused", "refused-open") == "painted"
        engine = browser.value("document.documentElement.dataset.opened")
        assert engine == f"WASM, {threads} thread{'s' if threads > 1 else ''}"
        difference = np.abs(picture(browser) - expected)
        print(f"{threads} threads: {difference.max():.2f} at most, {difference.mean():.3f}")
        assert difference.max() <= 2
        assert browser.messages == []


def test_the_page_is_used_with_mouse_and_keys_and_its_file_is_marked(exported, browser, tmp_path):
    with served(exported) as address:
        browser.open(f"{address}?{OPTIONS}")
        assert end_of(browser, "ready", "refused-open") == "ready"
        counts = "document.getElementById('counts').textContent"
        browser.value("document.getElementById('clear').click()")
        assert browser.value(counts) == "none yet"
        box = browser.value(
            "(() => { const b = document.getElementById('editor').getBoundingClientRect();"
            " return [b.left, b.top, b.width]; })()"
        )
        left, top, width = box
        browser.click(left + width / 4, top + width / 4)
        browser.key("2")
        browser.click(left + width / 2, top + width / 2)
        assert browser.value(counts) == "1 epithelial, 1 lymphocyte"
        browser.click(left + width / 4, top + width / 4, "right")
        assert browser.value(counts) == "1 lymphocyte"
        browser.key("z")
        browser.key("3")
        for key in ("ArrowRight", "ArrowDown", "Enter"):
            browser.key(key, shift=True)
        assert browser.value(counts) == "1 epithelial, 1 lymphocyte, 1 stromal"
        browser.key("p")
        assert end_of(browser, "painted", "refused") == "painted"
        shown = picture(browser)
        browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        browser.value("document.getElementById('download').click()")
        path = tmp_path / f"synthetic-{LOOK}-seed-{SEED}.png"
        end = time.monotonic() + 30
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.1)
        with Image.open(path) as image:
            assert (np.asarray(image.convert("RGB")) == shown).all()
            assert "not for diagnosis" in image.info["Comment"]
            assert '"synthetic":true' in image.info["histosynth:recipe"]
            assert "trainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]


def refused(browser, address):
    browser.open(address)
    assert end_of(browser, "ready", "refused-open") == "refused-open"
    assert browser.value("document.getElementById('paint').disabled")
    return browser.value("document.getElementById('refusal').textContent")


def test_a_file_of_another_bundle_is_refused(exported, browser, tmp_path):
    changed = shutil.copytree(exported, tmp_path / "changed")
    graph = onnx.load(changed / "decoder.onnx")
    onnx.helper.set_model_props(graph, {"bundle": "other"})
    (changed / "decoder.onnx").write_bytes(graph.SerializeToString())
    with served(changed) as address:
        sentence = refused(browser, f"{address}?engine=wasm")
    assert sentence.startswith("decoder.onnx is not the file that model.json of bundle compact")
    assert "Export the bundle again" in sentence


def test_a_missing_runtime_and_a_missing_export_are_sentences(exported, browser, tmp_path):
    with served(exported, tmp_path) as address:
        assert "Start serve.py with --runtime" in refused(browser, f"{address}?engine=wasm")
    with served(tmp_path) as address:
        assert "model.json is not there (status 404)" in refused(browser, address)
