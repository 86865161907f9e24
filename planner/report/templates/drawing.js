"use strict";
// What the charts of all pages share: colours of the page, axes, and drawing again when colours or width change.
const drawing = (() => {
  const read = () => JSON.parse(document.getElementById("data").textContent);
  let data = read();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const charts = [];

  const base = (more) => ({
    animation: false,
    textStyle: {color: css("--ink"), fontFamily: "system-ui, sans-serif"},
    tooltip: {renderMode: "richText", confine: true, backgroundColor: css("--card"), borderColor: css("--line"),
              textStyle: {color: css("--ink"), fontSize: 12}},
    legend: {type: "scroll", bottom: 0, textStyle: {color: css("--soft")}, pageTextStyle: {color: css("--soft")},
             pageIconColor: css("--soft"), icon: "roundRect", itemWidth: 12, itemHeight: 12},
    ...more});
  const axis = (more) => ({axisLine: {lineStyle: {color: css("--line")}}, splitLine: {lineStyle: {color: css("--line")}},
                           nameTextStyle: {color: css("--soft")}, ...more,
                           axisLabel: {color: css("--soft"), hideOverlap: true, ...(more.axisLabel || {})}});

  // An axis of slots; where several days begin, only these are named.
  function time() {
    const days = data.slots.filter((slot) => slot.endsWith(" 00:00")).length > 2;
    const byDay = {interval: (i, slot) => slot.endsWith(" 00:00"), formatter: (slot) => slot.slice(0, -6)};
    return axis({type: "category", data: data.slots, axisTick: {show: false}, axisLabel: days ? byDay : {}});
  }

  function draw(id, option) {
    const element = document.getElementById(id);
    if (!element) return;
    const chart = echarts.init(element, null, {renderer: "canvas"});
    const show = () => chart.setOption(option(), true);
    show();
    charts.push({chart, show});
  }

  // The page shows something else by now: its charts are drawn anew.
  function renew() {
    charts.splice(0).forEach(({chart}) => chart.dispose());
    data = read();
  }

  const refresh = () => charts.forEach(({chart, show}) => { show(); chart.resize(); });
  window.addEventListener("resize", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  return {get data() { return data; }, css, base, axis, time, draw, refresh, renew};
})();
