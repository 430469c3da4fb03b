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
  // As on paper, whatever the page looks like: colours are variables, which a file of its own does not know.
  const asFile = async (place) => {
    if (waiting.has(place)) await draw(place);
    const svg = place.querySelector("svg").cloneNode(true);
    const { width, height } = svg.viewBox.baseVal;
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.insertAdjacentHTML("afterbegin", '<rect width="100%" height="100%" fill="#fff"/>');
    const paper = document.body.appendChild(document.createElement("div"));
    paper.className = "paper";
    const colours = getComputedStyle(paper);
    const text = new XMLSerializer().serializeToString(svg).replace(/var\((--\w+)\)/g, (_, name) => colours.getPropertyValue(name).trim());
    paper.remove();
    return { address: "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text), width, height };
  };
  const asPixels = async ({ address, width, height }, scale) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: scale * width, height: scale * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/png");
  };
  for (const button of document.querySelectorAll(".save button")) {
    button.addEventListener("click", async () => {
      const name = button.dataset.chart, form = button.textContent.toLowerCase();
      const file = await asFile(document.getElementById(name));
      const href = form === "svg" ? file.address : await asPixels(file, 3);
      Object.assign(document.createElement("a"), { href, download: name + "." + form }).click();
    });
  }
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
