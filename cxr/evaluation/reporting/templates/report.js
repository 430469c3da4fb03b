"use strict";
// Draws what is visible, one chart after another so that the page stays quick; the rest when its fold opens or on paper.
(() => {
  const json = (id) => JSON.parse(document.getElementById(id).textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, config: json("chart-config") };
  const waiting = new Set(document.querySelectorAll(".chart"));
  const draw = (place) => {
    waiting.delete(place);
    return vegaEmbed(place, json(place.id + "-spec"), options).then(
      () => place.classList.add("drawn"),
      (error) => { place.textContent = "This chart could not be drawn: " + error.message; },
    );
  };
  const visible = () => [...waiting].filter((place) => place.offsetWidth > 0);
  let busy = false;
  const next = () => {
    const place = visible()[0];
    busy = Boolean(place);
    document.body.dataset.charts = busy ? "drawing" : "drawn";
    if (place) draw(place).then(() => setTimeout(next, 0));
  };
  const start = () => { if (!busy) next(); };
  for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", start);
  const openFor = (id) => {
    const target = id && document.getElementById(id);
    for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", () => openFor(decodeURIComponent(location.hash.slice(1))));
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details.fold")) fold.open = true;
    for (const place of [...waiting]) draw(place);
  });
  start();
})();
