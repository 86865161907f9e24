"use strict";
// The three charts of a plan.
(() => {
  const {data, css, base, axis, time, draw, refresh} = drawing;
  const colours = ["#4c78c9", "#e0803a", "#3a9d6a", "#c94c78", "#8a63c9", "#a88a2a", "#2fa3b5", "#7d8894",
                   "#96b8f0", "#f0b890", "#92d3b2", "#e79bb6", "#b9b9b9"];
  const colourOfPurchase = {owned: "#3a9d6a", committed: "#4c78c9", on_demand: "#e0803a", spot: "#8a63c9"};
  const colourOfPart = {machines: "#4c78c9", egress: "#e0803a", storage: "#3a9d6a", moves: "#c94c78", carbon: "#7d8894"};
  const money = (usd) => usd.toLocaleString("en-US", {maximumFractionDigits: Math.abs(usd) < 100 ? 2 : 0});

  function stacked(rows) {
    return rows.map((row, i) => ({name: row.name, type: "bar", stack: "machines", barCategoryGap: "0%", data: row.count,
                                  color: row.colour || colours[i % colours.length]}));
  }

  function added(rows) {
    return rows.length ? rows[0].count.map((_, t) => rows.reduce((sum, row) => sum + row.count[t], 0)) : [];
  }

  function grouped(key) {
    const groups = new Map();
    for (const row of data.machines) {
      groups.set(row[key], [...(groups.get(row[key]) || []), row]);
    }
    return [...groups].map(([name, rows]) => ({name, count: added(rows)}));
  }

  function byPool() {
    const total = (row) => row.count.reduce((a, b) => a + b, 0);
    const rows = grouped("pool").sort((a, b) => total(b) - total(a) || (a.name < b.name ? -1 : 1));
    const rest = rows.slice(12);
    return rest.length ? [...rows.slice(0, 12), {name: `${rest.length} more pools`, count: added(rest)}] : rows;
  }

  function byPurchase(rows) {
    return rows.map((row) => ({...row, colour: colourOfPurchase[row.name]}));
  }

  function machineRows(view) {
    if (view === "pools") return byPool();
    if (view === "purchases") return byPurchase(grouped("purchase"));
    return byPurchase(data.machines.filter((row) => row.pool === view).map((row) => ({...row, name: row.purchase})));
  }

  function machines() {
    const view = document.getElementById("view").value;
    return {...base(), tooltip: {...base().tooltip, trigger: "axis"},
            grid: {left: 8, right: 12, top: 24, bottom: 40, containLabel: true},
            xAxis: time(), yAxis: axis({type: "value", minInterval: 1, name: "machines", nameTextStyle: {color: css("--soft"), align: "left"}}),
            series: stacked(machineRows(view))};
  }

  // Percent by slot and cluster; what was kept by an earlier version has cells.
  const cells = data.heat.values ?? data.heat.rows.flatMap((row, y) => row.map((use, t) => [t, y, use]).filter((cell) => cell[2] !== null));

  function heat() {
    return {...base(), legend: {show: false},
            tooltip: {...base().tooltip, formatter: (at) =>
              `${data.heat.clusters[at.value[1]]}, ${data.slots[at.value[0]]}: ${at.value[2]} %`},
            grid: {left: 8, right: 12, top: 8, bottom: 56, containLabel: true},
            xAxis: time(), yAxis: axis({type: "category", data: data.heat.clusters, inverse: true, axisTick: {show: false}}),
            visualMap: {min: 0, max: 100, calculable: false, orient: "horizontal", left: "center", bottom: 0, itemHeight: 140,
                        itemWidth: 12, text: ["100 %", "0 %"], textStyle: {color: css("--soft")},
                        inRange: {color: [css("--heat-0"), css("--heat-1"), css("--heat-2")]}},
            series: [{type: "heatmap", data: cells, progressive: 0, emphasis: {itemStyle: {borderColor: css("--ink"),
                      borderWidth: 1}}}]};
  }

  function costs() {
    const parts = Object.entries(data.cost.parts).filter(([, usd]) => usd.some((x) => x > 0));
    return {...base(), tooltip: {...base().tooltip, trigger: "axis", axisPointer: {type: "shadow"},
                                 valueFormatter: (usd) => `USD ${money(usd)}`},
            grid: {left: 8, right: 24, top: 8, bottom: 40, containLabel: true},
            xAxis: axis({type: "value"}),
            yAxis: axis({type: "category", data: data.cost.clusters, inverse: true, axisTick: {show: false}}),
            series: parts.map(([name, usd]) => ({name, type: "bar", stack: "cost", data: usd, barMaxWidth: 22,
                                                 color: colourOfPart[name]}))};
  }

  draw("machines", machines);
  draw("heat", heat);
  draw("costs", costs);
  document.getElementById("view")?.addEventListener("change", refresh);
  document.getElementById("filter")?.addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of document.querySelectorAll("#assignments tbody tr")) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
})();
