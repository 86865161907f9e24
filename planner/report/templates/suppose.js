"use strict";
// Two plans side by side: machines over time, and cost by part.
(() => {
  const {data, base, axis, time, draw, css} = drawing;
  const names = {before: "in force", after: "anew"}, colours = {before: "--soft", after: "--accent"};
  const plans = Object.entries(data.plans);
  const money = (usd) => usd.toLocaleString("en-US", {maximumFractionDigits: Math.abs(usd) < 100 ? 2 : 0});

  const machines = () => ({...base(), tooltip: {...base().tooltip, trigger: "axis"},
    grid: {left: 8, right: 12, top: 24, bottom: 40, containLabel: true},
    xAxis: time(), yAxis: axis({type: "value", minInterval: 1, name: "machines"}),
    series: plans.map(([name, plan]) => ({name: names[name], type: "line", step: "end", symbol: "none", data: plan.machines,
      color: css(colours[name]), lineStyle: {width: 2, type: name === "before" ? "dashed" : "solid"}}))});

  const parts = data.parts.map((part, i) => ({part, usd: plans.map(([, plan]) => plan.costs[i])}))
                          .filter((row) => row.usd.some((usd) => usd > 0));
  const costs = () => ({...base(), tooltip: {...base().tooltip, trigger: "axis", axisPointer: {type: "shadow"},
                                             valueFormatter: (usd) => `USD ${money(usd)}`},
    grid: {left: 8, right: 24, top: 8, bottom: 40, containLabel: true},
    xAxis: axis({type: "value"}),
    yAxis: axis({type: "category", data: parts.map((row) => row.part), inverse: true, axisTick: {show: false}}),
    series: plans.map(([name], i) => ({name: names[name], type: "bar", barMaxWidth: 20, color: css(colours[name]),
                                       data: parts.map((row) => row.usd[i])}))});

  draw("machines", machines);
  draw("costs", costs);
})();
