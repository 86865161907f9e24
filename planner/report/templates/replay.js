"use strict";
// Draws machines and waiting replicas over time, and again when colours or width change.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const days = data.slots.filter((slot) => slot.endsWith(" 00:00")).length > 2;
  const byDay = {interval: (i, slot) => slot.endsWith(" 00:00"), formatter: (slot) => slot.slice(0, -6)};
  const axis = (more) => ({axisLine: {lineStyle: {color: css("--line")}}, axisLabel: {color: css("--soft"), hideOverlap: true},
                           splitLine: {lineStyle: {color: css("--line")}}, ...more});
  const charts = [];

  const over = (name, series) => ({
    animation: false, textStyle: {color: css("--ink"), fontFamily: "system-ui, sans-serif"},
    tooltip: {trigger: "axis", renderMode: "richText", confine: true, backgroundColor: css("--card"),
              borderColor: css("--line"), textStyle: {color: css("--ink"), fontSize: 12}},
    legend: {type: "scroll", bottom: 0, textStyle: {color: css("--soft")}, icon: "roundRect", itemWidth: 12, itemHeight: 12},
    grid: {left: 8, right: 12, top: 24, bottom: 40, containLabel: true},
    xAxis: axis({type: "category", data: data.slots, axisTick: {show: false},
                 axisLabel: {color: css("--soft"), hideOverlap: true, ...(days ? byDay : {})}}),
    yAxis: axis({type: "value", minInterval: 1, name, nameTextStyle: {color: css("--soft")}}), series});
  const line = (name, values, color, more) => ({name, type: "line", step: "middle", showSymbol: false, data: values, color,
                                                lineStyle: {width: 2}, ...more});

  const machines = () => over("machines", [
    line("planned", data.planned, "#7d8894", {lineStyle: {width: 2, type: "dashed"}}), line("ran", data.ran, "#4c78c9"),
    line("in use", data.used, "#3a9d6a"), line("packed anew", data.packed, "#e0803a")]);
  const waited = () => over("replicas", [{name: "waited", type: "bar", barCategoryGap: "0%", data: data.waited,
                                          color: "#c94c78"}]);

  function draw(id, option) {
    const chart = echarts.init(document.getElementById(id), null, {renderer: "canvas"});
    const show = () => chart.setOption(option(), true);
    show();
    charts.push({chart, show});
  }

  draw("machines", machines);
  draw("waited", waited);
  const refresh = () => charts.forEach(({chart, show}) => { show(); chart.resize(); });
  window.addEventListener("resize", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
})();
