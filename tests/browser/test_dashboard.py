"""The live page in a real browser: it shows what the lab is, and steers it."""

from __future__ import annotations

import re
import signal
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from labs import NAMES, Lab, ProcessLab, eventually
from load_balancer.events import Event
from playwright.sync_api import Browser, Locator, Page, expect

from ring import ALGORITHMS, KEY_HASHES, PRESETS, VIRTUAL_NODE_HASHES, RingConfig, SlotRing

pytestmark = pytest.mark.lab


def row(page: Page, hostname: str) -> Locator:
    return page.locator(f'#replicas tr[data-hostname="{hostname}"]')


def logged(page: Page, kind: str, hostname: str) -> Locator:
    return page.locator(f"#events li[data-kind={kind}]", has_text=hostname)


def press(page: Page, hostname: str, action: str) -> None:
    row(page, hostname).get_by_role("button", name=action).click()


def arcs(page: Page, hostname: str) -> Locator:
    """The arcs of one replica, if it has any."""
    return page.locator(f'#ring [data-owner="{hostname}"] .arcs:not([d=""])')


def expected_shares(lab: Lab) -> dict[str, str]:
    """The ring's own count of what each replica serves, as the page writes it."""
    described = lab.call("GET", "/ring").json()["message"]
    config = RingConfig(
        key_hash=described["key_hash"],
        virtual_node_hash=described["virtual_node_hash"],
        num_slots=described["slots"],
        num_virtual_nodes=described["virtual_nodes"],
        probing=described["probing"],
    )
    placed = {
        hostname: (each["server_id"], each["slots"])
        for hostname, each in described["replicas"].items()
    }
    ring = SlotRing.restore(config, placed)
    counts = Counter(ring.owners().tolist())
    return {
        node: f"{100 * counts[index] / config.num_slots:.1f} %"
        for index, node in enumerate(ring.nodes)
    }


# What it shows


def test_the_page_is_quiet_and_asks_nobody_else(browser: Browser, lab: Lab) -> None:
    """No error in the console, no request to another host, while it loads, polls and sends."""
    with browser.new_context() as context:
        page = context.new_page()
        complaints: list[str] = []
        asked: set[str] = set()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.goto(f"{lab.url}/dashboard")
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        page.get_by_role("button", name="Send 100 requests").click()
        expect(page.locator("#send-result")).to_contain_text("100 answered, 0 failed")
    assert [] == complaints
    assert {f"127.0.0.1:{lab.port}"} == asked


def test_the_ring_has_arcs_for_each_replica(page: Page) -> None:
    """As many owners are drawn as there are replicas, and their virtual nodes beside them."""
    expect(page.locator("#ring [data-owner]")).to_have_count(3)
    for hostname in NAMES:
        expect(arcs(page, hostname)).to_have_count(1)
        dots = page.locator(f"#ring [data-owner={hostname}] .dots").get_attribute("d")
        assert PRESETS["default"].num_virtual_nodes == dots.count("M")


def test_the_table_counts_requests(page: Page, lab: Lab) -> None:
    """Requests of anybody turn up in the table, without a reload."""
    before = sum(answered(lab).values())
    for request_id in range(20):
        headers = {"X-Request-ID": str(request_id)}
        assert 200 == lab.call("GET", "/home", headers=headers).status_code
    eventually(lambda: sum(answered(lab).values()) == before + 20, within_s=5)
    for hostname, count in answered(lab).items():
        expect(row(page, hostname).locator(".answered")).to_have_text(f"{count:,}")


def answered(lab: Lab) -> dict[str, int]:
    """Requests that each of the three replicas has answered, as /metrics counts them."""
    samples = re.findall(
        r'^ringlab_requests_total\{replica="(\w+)",.*\} (\S+)$',
        lab.call("GET", "/metrics").text,
        re.MULTILINE,
    )
    counts: Counter[str] = Counter()
    for hostname, count in samples:
        counts[hostname] += int(float(count))
    return {hostname: counts[hostname] for hostname in NAMES}


def test_a_quantile_is_interpolated_in_its_bucket(page: Page) -> None:
    """Four answers between 1 and 3 ms, evenly spread: half of them within 2 ms."""
    latency = [{"upTo": 0.001, "count": 0}, {"upTo": 0.003, "count": 4}]
    script = "async latency => (await import('/dashboard/api.js')).quantile(latency, 0.5)"
    assert pytest.approx(0.002) == page.evaluate(script, latency)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_nothing_sticks_out_sideways(page: Page, lab: Lab, width: int, height: int) -> None:
    """On a phone and on a projector, a name of 63 letters included."""
    longest = "x" * 63
    lab.call("PUT", "/rep", json={"hostnames": [*NAMES, longest]})
    expect(row(page, longest)).to_have_attribute("data-state", "alive")
    page.set_viewport_size({"width": width, "height": height})
    assert width >= page.evaluate("document.scrollingElement.scrollWidth")
    # Nor out of the box that it stands in.
    assert [] == page.evaluate(
        """[...document.querySelectorAll("section *")].filter((each) => {
          const box = each.closest("section").getBoundingClientRect();
          return !each.closest("svg") && each.getBoundingClientRect().right > box.right;
        }).map((each) => each.outerHTML.slice(0, 80))"""
    )


# What it does


def test_adding_a_replica_adds_its_row_and_arcs(page: Page, lab: Lab) -> None:
    """Without a name, the lab chooses one."""
    page.get_by_role("button", name="Add a replica").click()
    expect(page.locator("#replicas tr[data-state=alive]")).to_have_count(4)
    expect(page.locator("#num-replicas")).to_have_text("4")
    (added,) = set(lab.replicas()) - set(NAMES)
    expect(logged(page, "joined", added)).to_be_visible()
    expect(arcs(page, added)).to_have_count(1)


def test_a_replica_can_be_added_and_removed_by_keyboard(page: Page) -> None:
    """Tab and Enter are enough, and the focus is not lost with the row."""
    tab_to(page, "document.activeElement.id === 'add-hostname'")
    page.keyboard.type("Server7")
    page.keyboard.press("Enter")
    expect(row(page, "Server7")).to_have_attribute("data-state", "alive")
    tab_to(
        page,
        "document.activeElement.dataset.action === 'remove'"
        " && document.activeElement.closest('tr').dataset.hostname === 'Server7'",
    )
    page.keyboard.press("Enter")
    expect(row(page, "Server7")).to_have_count(0)
    expect(page.locator("#add-hostname")).to_be_focused()


def tab_to(page: Page, condition: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    pytest.fail(f"no Tab leads to {condition}")


def test_a_crash_is_told_and_the_row_comes_back(page: Page, lab: Lab) -> None:
    """The log says suspect, dead, replaced; then the replica is alive again."""
    lab.call("PUT", "/rep", json={"hostnames": [*NAMES, "Victim"]})  # a name of no earlier event
    expect(row(page, "Victim")).to_have_attribute("data-state", "alive")
    press(page, "Victim", "Crash")
    for kind in ("suspect", "dead", "replaced"):
        expect(logged(page, kind, "Victim")).to_be_visible()
    expect(row(page, "Victim")).to_have_attribute("data-state", "alive")
    expect(arcs(page, "Victim")).to_have_count(1)


def test_a_refusal_is_told_where_it_happens(page: Page) -> None:
    """In the admin API's own words, beside the control."""
    page.get_by_label("Name").fill("Server1")
    page.get_by_role("button", name="Add a replica").click()
    expect(page.locator("#add-fault")).to_have_text(
        "Hostname 'Server1' is already present, as 'Server1'."
    )
    press(page, "Server2", "Resume")
    expect(row(page, "Server2").get_by_role("alert")).to_contain_text("not paused")


@pytest.mark.parametrize("request_id", ["132574", "alice", "18446744073709551617"])
def test_the_route_box_matches_the_api(page: Page, lab: Lab, request_id: str) -> None:
    """To the last digit of a 64-bit hash; the ring bears a badge for each replica."""
    route = lab.call("GET", f"/route?id={request_id}").json()["message"]
    page.get_by_label("Request id").fill(request_id)
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#route-steps dd")).to_contain_text(
        [
            str(route["key"]),
            str(route["hash"]),
            f"{route['slot']:,} (hash mod 65,536)",
            f"{route['probes']:,}, to slot {route['taken_slot']:,} of {route['owner']}",
        ]
    )
    order = page.locator("#route-order li")
    expect(order).to_contain_text(route["failover_order"])
    expect(order.first).to_contain_text(
        f"slot {route['taken_slot']:,}, {route['probes']:,} clockwise"
    )
    expect(page.locator("#ring .badge")).to_have_text(["1", "2", "3"])


def test_switching_the_preset_redraws_the_ring(page: Page, lab: Lab) -> None:
    """There is a button for each; arcs and shares are then those of the new ring."""
    buttons = page.locator("#presets button")
    assert sorted(PRESETS) == sorted(buttons.all_inner_texts())
    for name in ("assignment", "seed-library", "seed-deployed", "default"):
        before = arcs(page, "Server2").get_attribute("d")
        page.get_by_role("button", name=name).click()
        expect(buttons.filter(has_text=name)).to_have_attribute("aria-pressed", "true")
        expect(arcs(page, "Server2")).not_to_have_attribute("d", before)
        for hostname, share in expected_shares(lab).items():
            expect(row(page, hostname).locator(".share")).to_have_text(share)


def test_every_algorithm_has_a_button(page: Page, lab: Lab) -> None:
    """Where there are no slots the ring shows shares; the way of a request is told without them."""
    buttons = page.locator("#algorithms button")
    assert {"slots", "table", "bounded", *buttons.all_inner_texts()} == set(ALGORITHMS)
    for name in buttons.all_inner_texts():
        page.get_by_role("button", name=name).click()
        expect(buttons.filter(has_text=name)).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#ring-config")).to_contain_text(f"Algorithm {name}")
        expect(page.locator("#events li").first).to_contain_text(f"Now: Algorithm {name}")
        for hostname, at in lab.call("GET", "/ring").json()["message"]["replicas"].items():
            share = row(page, hostname).locator(".share")
            expect(share).to_have_text(f"{100 * at['share']:.1f} %")
            expect(arcs(page, hostname)).to_have_count(1)
    page.get_by_label("Request id").fill("132574")
    page.get_by_role("button", name="Show", exact=True).click()
    route = lab.call("GET", "/route?id=132574").json()["message"]
    expect(page.locator("#route-steps dd")).to_have_text(
        [str(route["key"]), str(route["hash"]), route["owner"]]
    )
    expect(page.locator("#route-order li")).to_have_text(route["failover_order"])


def test_a_bound_is_told(page: Page, lab: Lab) -> None:
    """With the factor; the ring below it stays what it was."""
    lab.call("PUT", "/ring", json={"load_factor": 1.25})
    bounded = "Nobody gets more than 1.25 times the mean of requests in flight."
    expect(page.locator("#ring-config")).to_contain_text("65,536 slots")
    expect(page.locator("#ring-config")).to_contain_text(bounded)
    expect(page.locator("#events li").first).to_contain_text(bounded)


# Whom it can be used by


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_axe_finds_nothing(
    browser: Browser, lab: Lab, width: int, height: int, scheme: Any
) -> None:
    """axe-core's rules, on the page as it loads, with a request's way, a bound and a fault, and
    with an algorithm that has no slots."""
    size = {"width": width, "height": height}
    with browser.new_context(viewport=size, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(f"{lab.url}/dashboard")
        expect(page.locator("#replicas tr")).to_have_count(3)
        expect(page.locator("#events li")).not_to_have_count(0)
        assert violations(page) == []
        page.get_by_role("button", name="Show", exact=True).click()
        lab.call("PUT", "/ring", json={"load_factor": 1.25})
        press(page, "Server2", "Resume")
        expect(row(page, "Server2").get_by_role("alert")).to_contain_text("not paused")
        expect(page.locator("#route-order li")).to_have_count(3)
        assert violations(page) == []
        page.get_by_role("button", name="maglev").click()
        expect(page.locator("#ring-config")).to_contain_text("Algorithm maglev")
        assert violations(page) == []


def violations(page: Page) -> list[tuple[str, str, list[str]]]:
    """Rule, how bad, and where."""
    found = Axe().run(page).response
    assert found["passes"]
    return [
        (each["id"], each["impact"], [node["html"] for node in each["nodes"]])
        for each in found["violations"]
    ]


# What it tells before it is done


def told(lab: Lab, what: str, method: str, path: str, body: object) -> str:
    """The sentence about a change that the API forecasts so."""
    moved = lab.call(method, f"{path}?dry_run=1", json=body).json()["message"]["moved"]
    return f"{what} moves {100 * moved:.1f} % of the keys."


def test_what_a_button_will_move_is_told_first(page: Page, lab: Lab) -> None:
    """On hover and on focus, and as the API says; then nothing has changed, and when pointer and
    focus have left nothing is told."""
    forecast = page.locator("#replicas-forecast")
    named = {"n": 1, "hostnames": ["Server4"]}
    page.get_by_label("Name").fill("Server4")
    expect(forecast).to_have_text(told(lab, "Adding Server4", "POST", "/add", named))
    one = {"n": 1, "hostnames": ["Server2"]}
    row(page, "Server2").get_by_role("button", name="Remove").hover()
    expect(forecast).to_have_text(told(lab, "Removing Server2", "DELETE", "/rm", one))
    share = expected_shares(lab)["Server3"]
    row(page, "Server3").get_by_role("button", name="Crash").focus()
    expect(forecast).to_have_text(
        f"Crashing Server3 moves its {share} of the keys to others, until it is replaced."
    )
    for name in ("Pause", "Resume"):
        row(page, "Server3").get_by_role("button", name=name).focus()
        expect(forecast).to_contain_text(f"{share} of the keys")
    page.get_by_label("Request id").hover()
    page.get_by_label("Request id").focus()
    expect(forecast).to_be_empty()
    assert lab.replicas() == NAMES


@pytest.mark.parametrize(
    ("name", "change"),
    [("seed-deployed", {"preset": "seed-deployed"}), ("jump", {"algorithm": "jump"})],
)
def test_what_a_ring_will_move_is_told_first(
    page: Page, lab: Lab, name: str, change: dict[str, str]
) -> None:
    """Of a preset and of an algorithm."""
    page.get_by_role("button", name=name).focus()
    sentence = told(lab, f"Changing to {name}", "PUT", "/ring", change)
    expect(page.locator("#ring-forecast")).to_have_text(sentence)


def test_what_would_be_refused_is_told_first(page: Page) -> None:
    """In the words of the refusal."""
    page.get_by_label("Name").fill("Server2")
    expect(page.locator("#replicas-forecast")).to_contain_text("already present")


def test_on_a_touch_screen_the_first_tap_tells(browser: Browser, lab: Lab) -> None:
    """And the second one does it."""
    with browser.new_context(has_touch=True, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        page.goto(f"{lab.url}/dashboard")
        remove = row(page, "Server3").get_by_role("button", name="Remove")
        remove.tap()
        expect(page.locator("#replicas-forecast")).to_contain_text("Removing Server3 moves")
        assert lab.replicas() == NAMES
        remove.tap()
        expect(row(page, "Server3")).to_have_count(0)
        assert lab.replicas() == NAMES[:2]


def test_the_two_hash_functions_can_be_chosen(page: Page, lab: Lab) -> None:
    """All there are; what the choice moves is told first; where H alone can be chosen, it is."""
    key_hash, node_hash = page.locator("#key-hash"), page.locator("#virtual-node-hash")
    assert key_hash.locator("option").all_inner_texts() == list(KEY_HASHES)
    assert node_hash.locator("option").all_inner_texts() == list(VIRTUAL_NODE_HASHES)
    expect(key_hash).to_have_value("splitmix64")
    key_hash.select_option("knuth")
    node_hash.select_option("crc32")
    change = {"hash": "knuth", "virtual_node_hash": "crc32"}
    sentence = told(lab, "Changing to these hashes", "PUT", "/ring", change)
    expect(page.locator("#ring-forecast")).to_have_text(sentence)
    page.locator("#hashes").get_by_role("button", name="Use").click()
    expect(page.locator("#ring-config")).to_contain_text(
        "request ids: knuth; of virtual nodes: crc32"
    )
    for hostname, share in expected_shares(lab).items():
        expect(row(page, hostname).locator(".share")).to_have_text(share)
    page.get_by_role("button", name="rendezvous").click()
    expect(node_hash).to_be_hidden()
    page.get_by_role("button", name="nginx").click()
    expect(key_hash).to_be_hidden()


# What it shows of time


@pytest.mark.parametrize("change", [{"preset": "default"}, {"algorithm": "maglev"}])
def test_requests_are_seen_to_land(page: Page, lab: Lab, change: dict[str, str]) -> None:
    """A dot for some of them, in the colour of the replica that answered."""
    lab.call("PUT", "/ring", json=change)
    owner = lab.call("GET", "/route?id=132574").json()["message"]["replica"]
    number = NAMES.index(owner) + 1

    def lands() -> int:
        lab.call("GET", "/home", headers={"X-Request-ID": "132574"})
        return page.locator(f"#ring .landing.colour-{number}").count()

    eventually(lands, within_s=20)
    for other in {1, 2, 3} - {number}:
        expect(page.locator(f"#ring .landing.colour-{other}")).to_have_count(0)


def test_what_is_served_is_shown_beside_what_was_predicted(page: Page, lab: Lab) -> None:
    """Since the last change of the table, in shares of all answers."""
    owner = lab.call("GET", "/route?id=132574").json()["message"]["replica"]

    def is_served() -> bool:  # sent again and again: the page may learn of the table a moment late
        lab.call("GET", "/home", headers={"X-Request-ID": "132574"})
        return row(page, owner).locator(".served").text_content() == "100.0 %"

    eventually(is_served, within_s=20)
    for hostname in {*NAMES} - {owner}:
        expect(row(page, hostname).locator(".served")).to_have_text("0.0 %")
    lab.call("PUT", "/ring", json={"algorithm": "nginx"})
    expect(row(page, owner).locator(".served")).to_have_text("–")


def test_n_over_time_is_drawn(page: Page, lab: Lab) -> None:
    """A step for each change, told in words, too."""
    history = page.locator("#history")
    expect(history.locator("title")).to_have_text("N over the last five minutes: 3, now 3")
    lab.call("POST", "/add", json={"n": 1, "hostnames": ["Server4"]})
    expect(history.locator("title")).to_have_text(
        "N over the last five minutes: from 3 to 4, now 4"
    )
    assert history.locator("path").get_attribute("d").count("V") == 1


def test_every_kind_of_event_is_known(page: Page) -> None:
    """The page listens for each by its name; one that it did not know would not be shown."""
    names = page.evaluate("import('/dashboard/api.js').then(({EVENT_KINDS}) => EVENT_KINDS)")
    assert set(names) == set(re.findall(r"[a-z]+", Event.__doc__.split("one of")[1]))
    for name in names:
        expect(page.locator(f"#mark-{name}")).to_have_count(1)


def test_a_killed_load_balancer_is_told_and_found_again(page: Page, lab: ProcessLab) -> None:
    """What happened meanwhile is there when it is, without a reload."""
    connection = page.locator("#connection")
    expect(connection).to_have_text("live")
    lab.call("PUT", "/rep", json={"hostnames": [*NAMES, "Server4"]})
    lab.signal("load_balancer", signal.SIGKILL)
    expect(connection).to_have_text("The load balancer does not answer.")
    lab.kill_replica("Server2")
    lab.start("load_balancer")
    expect(connection).to_have_text("live")
    expect(row(page, "Server4")).to_have_attribute("data-state", "alive")
    expect(logged(page, "replaced", "Server2")).to_have_count(1)
    expect(row(page, "Server2")).to_have_attribute("data-state", "alive")


def test_a_load_balancer_that_hangs_is_told_and_heard_again(page: Page, lab: ProcessLab) -> None:
    """Its connections are open all the while, and nothing comes."""
    connection = page.locator("#connection")
    expect(connection).to_have_text("live")
    lab.signal("load_balancer", signal.SIGSTOP)
    try:
        expect(connection).to_have_text("The load balancer does not answer.")
    finally:
        lab.signal("load_balancer", signal.SIGCONT)
    expect(connection).to_have_text("live")
