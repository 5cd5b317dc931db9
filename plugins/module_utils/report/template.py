# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report, for Jinja2 with autoescape.

The roles keep tables tables for assistive technology where a narrow screen shows them as cards.
"""

from __future__ import annotations

TEMPLATE = """\
{% macro conditions(title, list, blocking) %}
{% if list %}
<h3>{{ title }}</h3>
<ul class="conditions">
{% for c in list %}
<li class="{{ 'bad' if c.category in blocking or c.type == 'Failed' else 'warn' if c.category == 'Warn' else '' }}"><b>{{ c.type }}</b>
{% if c.category %}<span class="quiet">{{ c.category }}{% if c.reason %}, {{ c.reason }}{% endif %}</span>{% endif %}
 {{ c.message }}{% if c['items'] %} <span class="quiet">[{{ c['items'] | join(', ') }}]</span>{% endif %}</li>
{% endfor %}
</ul>
{% endif %}
{% endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ report.title }}</title>
<link rel="icon" href="data:,">
<style>{{ style | safe }}</style>
</head>
<body>
<header>
<h1>{{ report.title }}</h1>
<p class="quiet">{% if summary.started %}{{ summary.started | instant }} to {{ summary.until | instant }}
{% else %}Nothing has run yet{% endif %}
{% if report.generated %}, written {{ report.generated | instant }}{% endif %}</p>
</header>
<main data-line="{{ gist }}">
<section aria-labelledby="summary">
<h2 id="summary">Summary</h2>
<dl class="tiles">
<div><dt>VMs</dt><dd>{{ summary.vms | count }}</dd></div>
{% for outcome in ('succeeded', 'failed', 'canceled', 'running', 'pending') %}
{% if summary[outcome] or outcome in ('succeeded', 'failed', 'canceled', 'running') %}
<div class="{{ outcome if summary[outcome] else 'none' }}"><dt>{{ outcome | capitalize }}</dt><dd>{{ summary[outcome] | count }}</dd></div>
{% endif %}
{% endfor %}
<div><dt>Disks</dt><dd>{{ summary.disk_mb | size }}</dd></div>
<div><dt>Wall time</dt><dd>{{ summary.duration | clock }}</dd></div>
</dl>
{% if shares %}
<svg class="shares" viewBox="0 0 100 2" preserveAspectRatio="none" role="img" aria-labelledby="shares-title shares-desc">
<title id="shares-title">How the VMs ended</title>
<desc id="shares-desc">{% for name, number, part in shares %}{{ number }} {{ name }}{% if not loop.last %}, {% endif %}{% endfor %}</desc>
{% set at = namespace(x=0) %}
{% for name, number, part in shares %}<rect class="{{ name }}" x="{{ at.x }}" width="{{ part }}"
height="2"/>{% set at.x = at.x + part %}{% endfor %}

</svg>
{% endif %}
</section>
{% if plans | length > 1 %}
<nav aria-label="Plans">
<ul class="plans">
{% for section in plans %}
<li><a href="#plan-{{ loop.index }}"><bdi>{{ section.plan.namespace }}/{{ section.plan.name }}</bdi></a>
<span class="badge {{ section.plan.outcome | lower }}">{{ section.plan.outcome }}</span>
<span class="quiet">{{ section.succeeded | count }} of {{ section.rows | length | count }} VMs migrated
{%- if section.failed %}, {{ section.failed | count }} failed{% endif %}</span></li>
{% endfor %}
</ul>
</nav>
{% endif %}
{% if failures %}
<section aria-labelledby="failures">
<h2 id="failures">Failures</h2>
{% for plan, step, reasons, vms in failures %}
<article>
<h3>{% if vms | length == 1 %}<bdi>{{ vms[0].name }}</bdi>{% else %}{{ vms | length | count }} VMs{% endif %}
 <span class="quiet">{{ plan.namespace }}/{{ plan.name }}</span></h3>
<p>Failed in step <b>{{ step }}</b>: {{ reasons }}</p>
{% set silent = vms | rejectattr('log') | list %}
{% for vm in vms if vm.log %}
<details{% if summary.failed <= 3 %} open{% endif %}><summary>
{%- if vms | length > 1 %}<b><bdi>{{ vm.name }}</bdi></b> {% endif %}{{ vm.log[0] }}</summary>
{% if vm.log | length > 1 %}<pre tabindex="0">{{ vm.log[1:] | join('\\n') }}</pre>{% endif %}
</details>
{% endfor %}
{% if vms | length > 1 and silent %}
<p class="quiet">{% for vm in silent %}<bdi>{{ vm.name }}</bdi>{% if not loop.last %}, {% endif %}{% endfor %}</p>
{% endif %}
</article>
{% endfor %}
</section>
{% endif %}
{% for section in plans %}
{% set plan = section.plan %}
{% set number = loop.index %}
<section aria-labelledby="plan-{{ number }}">
<h2 id="plan-{{ number }}">Plan <bdi>{{ plan.namespace }}/{{ plan.name }}</bdi>
<span class="badge {{ plan.outcome | lower }}">{{ plan.outcome }}</span></h2>
<p class="quiet">{{ plan.type | capitalize }} migration from <bdi>{{ plan.source }}</bdi> to <bdi>{{ plan.destination }}</bdi>, namespace
<bdi>{{ plan.target_namespace }}</bdi>.
{% if plan.started %}Began {{ plan.started | instant }}, {{ plan.duration | clock }} {{ 'in all' if plan.completed
else 'so far' }}.{% endif %}
{% if plan.follow_ups %}
 What it had left went on in the follow-up {{ 'plans' if plan.follow_ups | length > 1 else 'plan' }}
<bdi>{{ plan.follow_ups | join(', ') }}</bdi>.
{% endif %}</p>
{% if section.legend %}
<ul class="legend" aria-label="Colours of the timeline">
{% for work, text in section.legend %}<li><i class="{{ work }}"></i>{{ text }}</li>
{% endfor %}
</ul>
{% endif %}
<table class="vms" role="table">
<caption>VMs of plan {{ plan.name }}: result, size, rate and the time of each step</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">VM</th><th role="columnheader" scope="col">Result</th>
<th role="columnheader" scope="col" class="line"><span class="hidden">Timeline</span>
<span class="axis" aria-hidden="true">{% for at, text in section.ticks %}
<span style="left:{{ at }}%">{{ text if at <= 86 }}</span>{% endfor %}</span></th>
<th role="columnheader" scope="col" class="n">Time</th><th role="columnheader" scope="col" class="n">Downtime</th>
<th role="columnheader" scope="col" class="n">MiB</th><th role="columnheader" scope="col" class="n">MiB/s</th></tr></thead>
<tbody role="rowgroup">
{% for vm, bars, line in section.rows %}
<tr role="row" data-line="{{ line }}">
<th role="rowheader" scope="row"><bdi>{{ vm.name }}</bdi>
{% if vm.target_name != vm.name %}<span class="quiet">as <bdi>{{ vm.target_name }}</bdi></span>{% endif %}</th>
<td role="cell"><span class="badge {{ vm.outcome | lower }}">{{ vm.outcome }}</span>
{% if vm.step %}<span class="quiet step">{{ vm.step }}{% if vm.waiting_for %}: {{ vm.waiting_for }}{% endif %}</span>{% endif %}</td>
<td role="cell" class="line">{% if bars %}
<svg viewBox="0 0 1000 14" preserveAspectRatio="none" role="img"
aria-labelledby="t{{ number }}-{{ loop.index }} d{{ number }}-{{ loop.index }}">
<title id="t{{ number }}-{{ loop.index }}">Steps of {{ vm.name }}</title>
<desc id="d{{ number }}-{{ loop.index }}">{{ bars | map(attribute='text') | join(', ') }}</desc>
{% for bar in bars %}<rect class="{{ bar.work }}" x="{{ bar.x }}" width="{{ bar.width }}"
height="14"><title>{{ bar.text }}</title></rect>{% endfor %}

</svg>{% endif %}</td>
<td role="cell" class="n" data-name="Time">{{ vm.duration | clock }}</td>
<td role="cell" class="n" data-name="Downtime">{{ vm.downtime | clock }}</td>
<td role="cell" class="n" data-name="MiB">{{ vm.disk_mb | count }}</td>
<td role="cell" class="n" data-name="MiB/s">{{ vm.mb_per_second | count }}</td>
</tr>
{% endfor %}
</tbody>
</table>
{% if section.steps %}
<h3>Steps</h3>
<table class="steps">
<caption class="hidden">How long each step of plan {{ plan.name }} took</caption>
<thead><tr><th scope="col">Step</th><th scope="col" class="n">VMs</th>
<th scope="col" class="n">Median</th><th scope="col" class="n">Longest</th>
<th scope="col">Slowest VM</th></tr></thead>
<tbody>
{% for step in section.steps %}
<tr><th scope="row">{{ step.name }}</th><td class="n">{{ step.vms | count }}</td>
<td class="n">{{ step.median | clock }}</td><td class="n">{{ step.longest | clock }}</td>
<td><bdi>{{ step.slowest }}</bdi></td></tr>
{% endfor %}
</tbody>
</table>
{% endif %}
{{ conditions('Conditions', plan.conditions, section.blocking) }}
{% for run in plan.runs %}
{{ conditions('Migration ' ~ run.name ~ (', ' ~ (run.started | instant) if run.started else ''), run.conditions, section.blocking) }}
{% endfor %}
</section>
{% else %}
<p>There are no plans here.</p>
{% endfor %}
{% if remarks %}
<section aria-labelledby="remarks">
<h2 id="remarks">Warnings and concerns</h2>
{% for category, text, names in remarks %}
<article class="remark">
<p><span class="badge {{ 'failed' if category in ('Critical', 'Error') else 'canceled' if category == 'Warning' else 'pending' }}">
{{- category }}</span> {{ text }}</p>
{% if names | length > 8 %}
<details><summary>{{ names | length }} VMs</summary><p class="quiet">{{ names | join(', ') }}</p></details>
{% else %}
<p class="quiet">{{ names | join(', ') }}</p>
{% endif %}
</article>
{% endfor %}
</section>
{% endif %}
</main>
</body>
</html>
"""
