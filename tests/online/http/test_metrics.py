"""What Prometheus reads."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

LOG = {"records": 1, "bytes": 2, "batches": 3, "fsyncs": 4, "replayed": 5, "snapshots": 6, "last_snapshot": 7.0}


def samples_of(text, parse=plain):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_figures_are_those_of_the_service(serve, group, calling):
    async def go():
        service = serve(name="news")
        service.group = group(["a", "b", "c"], actives={"a": 3, "b": 3}, sent=100)
        async with calling(service) as client:
            for _ in range(3):
                await client.post("/train", json=[[["x", {}]] * 5])
            await client.post("/delete_label", json=["y"])
            await client.get("/nothing")
            service.journal = SimpleNamespace(failure=OSError(), figures=SimpleNamespace(**LOG))
            service.figures.trials.add(1.0)
            service.figures.trials.add(0.0)
            return samples_of((await client.get("/metrics")).text)

    found = asyncio.run(go())
    expected = {
        ("hogwild_info", ("kind", "classifier"), ("name", "news"), ("node", "127.0.0.1_9199")): 1,
        ("hogwild_ready",): 1,
        ("hogwild_calls_total", ("method", "train")): 3,
        ("hogwild_calls_total", ("method", "delete_label")): 1,
        ("hogwild_call_errors_total", ("method", "delete_label")): 1,
        ("hogwild_http_answers_total", ("status", "200")): 3,
        ("hogwild_http_answers_total", ("status", "404")): 1,
        ("hogwild_http_answers_total", ("status", "409")): 1,
        ("hogwild_call_seconds_count",): 4,
        ("hogwild_call_seconds_bucket", ("le", "+Inf")): 4,
        ("hogwild_batch_examples_count",): 3,
        ("hogwild_batch_examples_sum",): 15,
        ("hogwild_batch_examples_bucket", ("le", "4.0")): 0,
        ("hogwild_batch_examples_bucket", ("le", "8.0")): 3,
        ("hogwild_examples_learnt_total",): 15,
        ("hogwild_model", ("figure", "labels")): 1,
        ("hogwild_model_version",): 3,
        ("hogwild_active",): 1,
        ("hogwild_members",): 3,
        ("hogwild_active_members",): 2,
        ("hogwild_mix_rounds_total",): 2,
        ("hogwild_mix_failures_total",): 1,
        ("hogwild_last_mix_timestamp_seconds",): 1e9,
        ("hogwild_mix_sent_bytes_total",): 100,
        ("hogwild_log_failed",): 1,
        ("hogwild_log_records_total",): 1,
        ("hogwild_log_snapshots_total",): 6,
        ("hogwild_trials_total",): found[("hogwild_trials_right_total",)] + 1,
    }
    assert {name: found[name] for name in expected} == expected
    assert ("hogwild_model", ("figure", "method")) not in found  # which is no number
    assert ("hogwild_members",) in found


@pytest.mark.parametrize("kind", ["classifier", "regression", "stat"])
def test_both_formats_are_well_formed(kind, serve, ask):
    service = serve(kind)
    text = ask(service, "GET", "/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert samples_of(text.text)
    answer = ask(service, "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert samples_of(answer.text, openmetrics)


def test_names_that_are_no_utf8_do_no_harm(serve, ask):
    service = serve(name='x\udcff"\n')
    assert any(("name", 'x\\udcff"\n') in name for name in samples_of(ask(service, "GET", "/metrics").text))


def test_each_service_has_its_own(serve, ask):
    for count in (1, 2):
        service = serve()
        service.figures.learnt = count
        assert samples_of(ask(service, "GET", "/metrics").text)[("hogwild_examples_learnt_total",)] == count
