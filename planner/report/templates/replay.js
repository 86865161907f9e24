"use strict";
// Machines and waiting replicas over time.
(() => {
  const {data, base, axis, time, draw} = drawing;
  const over = (name, series) => base({
    tooltip: {...base().tooltip, trigger: "axis"}, grid: {left: 8, right: 12, top: 24, bottom: 40, containLabel: true},
    xAxis: time(), yAxis: axis({type: "value", minInterval: 1, name}), series});
  const line = (name, values, color, more) => ({name, type: "line", step: "middle", showSymbol: false, data: values, color,
                                                lineStyle: {width: 2}, ...more});

  const machines = () => over("machines", [
    line("planned", data.planned, "#7d8894", {lineStyle: {width: 2, type: "dashed"}}), line("ran", data.ran, "#4c78c9"),
    line("in use", data.used, "#3a9d6a"), line("packed anew", data.packed, "#e0803a")]);
  const waited = () => over("replicas", [{name: "waited", type: "bar", barCategoryGap: "0%", data: data.waited,
                                          color: "#c94c78"}]);

  draw("machines", machines);
  draw("waited", waited);
})();
