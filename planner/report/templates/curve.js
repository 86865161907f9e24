"use strict";
// Cost against attainment and cost against availability.
(() => {
  const {data, css, axis, draw} = drawing;
  const base = () => drawing.base({grid: {left: 16, right: 40, top: 28, bottom: 64, containLabel: true},
                                   legend: {...drawing.base().legend, icon: null, itemWidth: 25}});
  const money = (usd) => usd.toLocaleString("en-US", {maximumFractionDigits: Math.abs(usd) < 1000 ? 2 : 0});
  const share = (x) => `${Number(x.toFixed(4))} %`;
  const blue = "#4c78c9", orange = "#e0803a";

  // Between two points nothing is known but what they say: plans step down to the left, what is proven up to the right.
  const line = (name, colour, points, proven) => ({
    name, type: "line", data: points, color: colour, symbol: proven ? "emptyCircle" : "circle",
    symbolSize: proven ? 5 : 9, step: proven ? "start" : "end", showAllSymbol: true,
    lineStyle: {width: 2, type: proven ? "dashed" : "solid", opacity: proven ? 0.8 : 1}, z: proven ? 1 : 2});
  const roomy = {min: (v) => Math.max(0, v.min - pad(v)), max: (v) => v.max + pad(v),
                 axisLabel: {formatter: (usd) => money(usd), showMinLabel: false, showMaxLabel: false}};
  const pad = (v) => Math.max(0.08 * (v.max - v.min), 0.01 * Math.abs(v.max));
  const known = (rows, ...keys) => rows.filter((row) => keys.every((key) => row[key] !== null));

  function attainment() {
    const point = (row) => ({value: [row.cost, row.attained], name: row.name});
    const floors = known(data.floor, "cost", "attained"), budgets = known(data.budget, "cost", "attained");
    const series = [
      line("least cost at a floor", blue, floors.map(point), false),
      line("no plan at a floor costs less", blue, known(data.floor, "bound").map((row) => [row.bound, 100 * row.asked]), true),
      line("most attained within a budget", orange, budgets.map(point), false),
      line("no plan within a budget attains more", orange, known(data.budget, "bound").map((row) => [row.asked, row.bound]), true),
    ].filter((one) => one.data.length);
    return {...base(), series,
            tooltip: {...base().tooltip, formatter: (at) => at.seriesName + (at.name ? `\n${at.name}` : "") +
                                                            `\nUSD ${money(at.value[0])}, ${share(at.value[1])}`},
            xAxis: axis({type: "value", ...roomy, name: "USD", nameLocation: "middle", nameGap: 26}),
            yAxis: axis({type: "value", scale: true, max: 100, name: "SLA attainment, %",
                         nameTextStyle: {color: css("--soft"), align: "left"}})};
  }

  function availability() {
    const rows = data.availability;
    return {...base(),
            tooltip: {...base().tooltip, trigger: "axis", formatter: (items) => [
              `${items[0].name}: ${rows[items[0].dataIndex].note}`,
              ...items.filter((item) => item.value !== null && item.value !== undefined)
                      .map((item) => `${item.seriesName}: USD ${money(item.value)}`)].join("\n")},
            xAxis: axis({type: "category", data: rows.map((row) => row.name), boundaryGap: false, name: "availability",
                         nameLocation: "middle", nameGap: 26}),
            yAxis: axis({type: "value", ...roomy, name: "USD"}),
            series: [line("least cost found", blue, rows.map((row) => row.cost), false),
                     line("no plan costs less", blue, rows.map((row) => row.bound), true)]
                    .map((one) => ({...one, step: false}))};
  }

  draw("attainment", attainment);
  draw("availability", availability);
})();
