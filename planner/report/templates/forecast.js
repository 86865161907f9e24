"use strict";
// Fans: what was seen of a series, and bands between the quantiles of its forecast.
(() => {
  const {data, base, axis, draw, css} = drawing;
  const blue = "#4c78c9", orange = "#e0803a";
  const middle = data.levels.reduce((best, level, q) => Math.abs(level - 0.5) < Math.abs(data.levels[best] - 0.5) ? q : best, 0);

  // Bands are stacked on the lowest quantile: each is as high as the step to the next one.
  function bands(name, quantiles, colour) {
    if (!quantiles.length) return [];
    const hidden = {type: "line", stack: name, symbol: "none", silent: true, lineStyle: {width: 0}, tooltip: {show: false}};
    const steps = quantiles.slice(1).map((high, q) => high.map((value, i) => value === null ? null : value - quantiles[q][i]));
    const around = (q) => 0.42 - 0.28 * Math.abs((data.levels[q] + data.levels[q + 1]) / 2 - 0.5) / 0.5;
    const lines = quantiles.map((values, q) => ({
      name: `${name} ${data.levels[q]}`, type: "line", symbol: "none", data: values, color: colour, z: 4,
      lineStyle: {width: q === middle ? 2 : 1, opacity: q === middle ? 1 : 0.6}}));
    return [{...hidden, data: quantiles[0]},
            ...steps.map((step, q) => ({...hidden, data: step, areaStyle: {color: colour, opacity: around(q)}})), ...lines];
  }

  function time(times) {
    const days = times.filter((moment) => moment.endsWith(" 00:00")).length;
    const byDay = {interval: (i, moment) => moment.endsWith(" 00:00"), formatter: (moment) => moment.slice(0, -6)};
    return axis({type: "category", data: times, axisTick: {show: false}, boundaryGap: false, axisLabel: days > 1 ? byDay : {}});
  }

  const fan = (one) => () => base({
    tooltip: {...base().tooltip, trigger: "axis"}, grid: {left: 8, right: 16, top: 16, bottom: 44, containLabel: true},
    legend: {...base().legend, data: ["seen", ...["then", "ahead"].flatMap((name) =>
      (name === "then" ? one.back : one.ahead).map((_, q) => `${name} ${data.levels[q]}`))]},
    xAxis: time(one.times), yAxis: axis({type: "value", scale: true, min: (v) => v.min < 0.5 * v.max ? 0 : v.min}),
    series: [...bands("then", one.back, orange), ...bands("ahead", one.ahead, blue),
             {name: "seen", type: "line", symbol: "none", data: one.seen, color: css("--ink"), z: 5, lineStyle: {width: 1.5}}]});

  data.fans.forEach((one, i) => draw(`fan${i}`, fan(one)));
})();
