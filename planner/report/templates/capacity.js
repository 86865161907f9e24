"use strict";
// A bar a pool or shared limit, from the P10 to the P90 date, with a mark at P50.
(() => {
  const {data, css, axis, draw} = drawing;
  const day = (text) => new Date(`${text}T00:00:00Z`).getTime();
  const end = day(data.end);

  function dates() {
    const rows = [...data.pools].reverse();
    const low = rows.map((row) => day(row.dates[0]));
    const high = rows.map((row) => (row.dates[2] === null ? end : day(row.dates[2])));
    return {...drawing.base({grid: {left: 16, right: 32, top: 12, bottom: 40, containLabel: true}}), legend: {show: false},
            tooltip: {...drawing.base().tooltip, trigger: "axis", axisPointer: {type: "shadow"}, formatter: (items) => {
              const row = rows[items[0].dataIndex];
              return `${row.name}\n${["P10", "P50", "P90"].map((name, i) => `${name} ${row.dates[i] || `after ${data.end}`}`)
                                                          .join("\n")}`; }},
            xAxis: axis({type: "time", min: day(data.start), max: end}),
            yAxis: axis({type: "category", data: rows.map((row) => row.name), axisTick: {show: false}}),
            series: [
              {type: "custom", itemStyle: {color: "#4c78c9"}, encode: {x: [1, 2], y: 0},
               data: rows.map((row, i) => [i, low[i], high[i]]),
               renderItem: (_, api) => {
                 const from = api.coord([api.value(1), api.value(0)]), to = api.coord([api.value(2), api.value(0)]);
                 const height = Math.min(18, 0.5 * api.size([0, 1])[1]);
                 return {type: "rect", shape: {x: from[0], y: from[1] - height / 2, width: Math.max(2, to[0] - from[0]),
                                               height}, style: {fill: "#4c78c9", opacity: 0.55}}; }},
              {type: "scatter", symbol: "diamond", symbolSize: 11, itemStyle: {color: css("--ink")},
               data: rows.map((row, i) => (row.dates[1] === null ? null : [day(row.dates[1]), i])).filter((at) => at)}]};
  }

  draw("dates", dates);
})();
