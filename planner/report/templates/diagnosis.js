"use strict";
// Metrics over time: what was measured, what is usual at that hour, alarms as red spans, the month that drifted as a grey one.
(() => {
  const {base, axis, draw, css} = drawing;

  function time(times) {
    const days = times.filter((moment) => moment.endsWith(" 00:00")).length;
    const byDay = {alignMinLabel: "left", interval: (i, moment) => moment.endsWith(" 00:00"), formatter: (moment) => moment.slice(0, -6)};
    return axis({type: "category", data: times, axisTick: {show: false}, boundaryGap: false, axisLabel: days > 1 ? byDay : {}});
  }

  const area = (from, to, colour, opacity, name) =>
    [{xAxis: from, itemStyle: {color: colour, opacity}, name, label: {color: css("--soft"), position: "insideTop"}}, {xAxis: to}];

  const metric = (one) => () => base({
    tooltip: {...base().tooltip, trigger: "axis"}, grid: {left: 8, right: 16, top: 16, bottom: 44, containLabel: true},
    legend: {...base().legend, data: ["measured", "usual"]},
    xAxis: time(one.times), yAxis: axis({type: "value", scale: true, min: (v) => v.min < 0.5 * v.max ? Math.min(0, v.min) : null}),
    series: [
      {name: "usual", type: "line", symbol: "none", connectNulls: one.points, data: one.usual, color: css("--soft"), lineStyle: {width: 1.5, type: "dashed"}},
      {name: "measured", type: "line", symbol: one.points ? "circle" : "none", symbolSize: 4, showAllSymbol: one.points, connectNulls: one.points, data: one.values, color: css("--accent"), z: 4, lineStyle: {width: 1.5},
       markArea: {silent: true, data: [
         ...(one.month === null ? [] : [area(Math.max(0, one.month), one.times.length - 1, css("--soft"), 0.12, "this month")]),
         ...one.spans.map(([from, to]) => area(Math.max(0, from), Math.max(from, to), css("--bad"), 0.28, "alarm"))]}}]});

  const all = () => drawing.data.charts.forEach((one, i) => draw(`metric${i}`, metric(one)));
  all();
  document.addEventListener("renewed", (event) => {
    if (!event.target.querySelector("#data")) return;
    drawing.renew();
    all();
  });
})();
