
"use strict";
(() => {
  const PAGE = 240;
  const ALL = "";
  const byId = (id) => document.getElementById(id);
  const data = (element) => (element ? JSON.parse(element.textContent) : []);
  const head = data(byId("head"));
  const columns = data(byId("columns"));
  const rows = [];
  for (const element of document.querySelectorAll("script.rows")) {
    for (const row of data(element)) rows.push(row);
    element.remove();
  }
  const at = Object.fromEntries(columns.map((name, place) => [name, place]));
  const cell = (row, name) => (name in at ? row[at[name]] : "");
  const [thumbnail, larger, link, score] = [0, 1, 2, 3].map((place) => (row) => row[columns.length + place]);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // A word of the table is broken behind its underscores where it is too long for a line.
  const breakable = (tag, text) => {
    const element = make(tag);
    element.append(...text.split("_").flatMap((part, place) => (place ? ["_", make("wbr"), part] : [part])));
    return element;
  };
  const pairs = (list, entries) => {
    for (const [name, value] of entries) {
      const pair = make("div");
      pair.append(make("dt", kind(name), name.replaceAll("_", " ")), make("dd", "", value));
      list.append(pair);
    }
  };
  // How a word is coloured: what a person should look at, what the network decided, what has no answer.
  const kind = (word) => (word === "refer" ? "refer" : word === "not_suspected" ? "clear"
    : word === "rejected" || word === "error" ? "bad" : word.endsWith("_suspected") ? "suspected" : "");
  pairs(byId("about"), head.about);
  pairs(byId("legend").querySelector("dl"), head.meanings);
  byId("legend").hidden = !head.meanings.length;
  for (const name of ["aside", "networks"]) {
    byId(name).textContent = head[name];
    byId(name).hidden = !head[name];
  }
  byId("warnings").append(...head.warnings.map((sentence) => make("li", "", sentence)));
  const warned = byId("warned"), many = head.warnings.length;
  warned.hidden = !many;
  warned.open = many < 3 || !matchMedia("(max-width: 600px)").matches;  // else they fill a phone before the first film
  warned.querySelector("summary").textContent = `${many} ${many === 1 ? "warning" : "warnings"}`;

  const sorts = [...head.classes.map((name) => `probability_${name}`), "confidence", "margin", "path"];
  const filters = ["status", "reason", "prediction", "decision", "refer_reason", "flag", "agreement"];
  const words = (row, filter) => (filter === "flag" ? cell(row, "flags").split(" ") : [cell(row, filter)]);

  const fill = (select, values, all) => {
    if (all) select.append(new Option("all", ALL));
    for (const [value, label] of values) select.append(new Option(label, value));
  };
  fill(byId("sort"), sorts.map((name) => [name, name.replace("probability_", "probability of ")]));
  for (const filter of filters) {
    const counts = new Map();
    for (const row of rows) for (const word of words(row, filter)) if (word) counts.set(word, (counts.get(word) || 0) + 1);
    fill(byId(filter), [...counts].sort().map(([word, count]) => [word, `${word} (${count.toLocaleString("en")})`]), true);
  }
  byId("agreement-label").hidden = !("agreement" in at);
  for (const name of ["decision", "refer_reason"]) byId(`${name}-label`).hidden = !rows.some((row) => cell(row, name));

  // A button for each decision, and for each status without one, with how many files have it.
  const countsOf = (name, wanted) => {
    const counts = new Map();
    for (const row of rows) if (cell(row, name) && wanted(row)) counts.set(cell(row, name), (counts.get(cell(row, name)) || 0) + 1);
    return [...counts].sort().map(([word, count]) => [name, word, count]);
  };
  for (const [name, word, count] of [...countsOf("decision", () => true), ...countsOf("status", (row) => cell(row, "status") !== "ok")]) {
    const button = make("button", `count ${kind(word)}`);
    button.type = "button";
    button.append(make("b", "", count.toLocaleString("en")), ` ${word.replaceAll("_", " ")}`);
    button.addEventListener("click", () => {
      const chosen = byId(name).value === word;
      byId("controls").reset();
      byId(name).value = chosen ? ALL : word;
    });
    const item = make("li");
    item.append(button);
    byId("counts").append(item);
  }

  let shown = [];
  let drawn = 0;
  let open = 0;

  const state = () => {
    const values = { sort: byId("sort").value, text: byId("text").value };
    for (const filter of filters) values[filter] = byId(filter).value;
    if (byId("turned").checked) values.turned = "1";
    return values;
  };

  const restore = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const id of ["sort", "text", ...filters]) {
      const value = wanted.get(id);
      const element = byId(id);
      if (value !== null && (id === "text" || [...element.options].some((option) => option.value === value))) element.value = value;
    }
    byId("turned").checked = wanted.get("turned") === "1";
  };

  const remember = (values) => {
    const wanted = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) if (value && !(name === "sort" && value === sorts[0])) wanted.set(name, value);
    history.replaceState(null, "", wanted.size ? `#${wanted}` : location.pathname + location.search);
  };

  // Rows without a number come last in either direction: they are no small probabilities. Among them the gate's score
  // counts: those that it nearly let pass come first.
  const compare = (name, turned) => (one, other) => {
    const first = cell(one, name);
    const second = cell(other, name);
    if (first === "" && second === "" && score(one) !== score(other)) {
      return score(other) === "" || (score(one) !== "" && Number(score(one)) < Number(score(other))) ? -1 : 1;
    }
    if (first === second) return cell(one, "path") < cell(other, "path") ? -1 : 1;
    if (first === "" || second === "") return first === "" ? 1 : -1;
    const less = name === "path" ? first < second : Number(first) > Number(second);
    return less !== turned ? -1 : 1;
  };

  // Pictures are squares; a film has its own sides again inside of its box.
  const film = (box, row, data) => {
    box.replaceChildren();
    if (!data) {
      box.textContent = cell(row, "reason") || "no picture";
      return;
    }
    const image = make("img");
    image.alt = "";
    image.loading = "lazy";
    image.src = `data:image/webp;base64,${data}`;
    const [width, height] = cell(row, "steps").includes("exif_rotated") ? [1, 1] : [Number(cell(row, "width")) || 1, Number(cell(row, "height")) || 1];
    image.style.width = `${100 * Math.min(1, width / height)}%`;
    image.style.height = `${100 * Math.min(1, height / width)}%`;
    box.append(image);
  };

  // A number never stands alone: its class stands before it, or the name of its column where it is of no class.
  const labelled = (className, row, name) => {
    const line = make("div", className);
    line.title = name.replace("probability_", "probability of ");
    line.append(breakable("span", name.replace("probability_", "")), " ", make("span", "number", Number(cell(row, name)).toFixed(3)));
    return line;
  };

  const tile = (row, sort) => {
    const item = make("li");
    const button = make("button", "tile");
    button.type = "button";
    const box = make("div", "film");
    film(box, row, thumbnail(row));
    const facts = make("div", "facts");
    const path = make("span", "path", cell(row, "path"));
    path.title = cell(row, "path");
    facts.append(path);
    const own = `probability_${cell(row, "prediction")}`;
    const sorted = sort === "path" || sort === "confidence" ? own : sort;  // the confidence is the prediction's own
    if (cell(row, "status") === "ok") {
      facts.append(labelled("answer", row, own));
      if (sorted !== own) facts.append(labelled("sorted", row, sorted));
    } else {
      const answer = make("div", "answer");
      answer.append(make("span", "bad", `${cell(row, "status")}: ${cell(row, "reason")}`));
      facts.append(answer);
    }
    if (cell(row, sorted)) {
      const bar = make("div", "bar");
      const length = make("i");
      length.style.width = `${100 * Number(cell(row, sorted))}%`;
      bar.append(length);
      facts.append(bar);
    }
    if (cell(row, "decision")) {
      const decision = make("div", "decision", [cell(row, "decision"), cell(row, "refer_reason")].filter(Boolean).join(": ").replaceAll("_", " "));
      decision.classList.add(kind(cell(row, "decision")));
      facts.append(decision);
    }
    const notes = [cell(row, "in_training_set") === "yes" ? "training picture" : "", cell(row, "flags").replaceAll("_", " "), cell(row, "agreement") === "unanimous" ? "" : cell(row, "agreement")].filter(Boolean);
    if (score(row)) notes.push(`score ${score(row)}`);
    if (notes.length) facts.append(make("div", "flags", notes.join(" · ")));
    button.append(box, facts);
    button.addEventListener("click", () => detail(row));
    item.append(button);
    return item;
  };

  const detail = (row) => {
    open = shown.indexOf(row);
    byId("detail-path").textContent = cell(row, "path");
    film(byId("detail").querySelector(".film"), row, larger(row) || thumbnail(row));
    byId("detail-link").hidden = !link(row);
    byId("detail-link").href = link(row);
    byId("before").disabled = open <= 0;
    byId("after").disabled = open >= shown.length - 1;
    const lines = columns.filter((name) => name !== "path" && row[at[name]] !== "").map((name) => {
      const line = make("tr");
      line.append(breakable("th", name), breakable("td", row[at[name]]));
      return line;
    });
    byId("detail-cells").replaceChildren(...lines);
    if (!byId("detail").open) byId("detail").showModal();
    byId("detail").scrollTop = 0; // the button that has the focus may lie far below
  };
  const step = (by) => {
    if (shown[open + by]) detail(shown[open + by]);
  };

  const draw = () => {
    const sort = byId("sort").value;
    const next = shown.slice(drawn, drawn + PAGE);
    byId("tiles").append(...next.map((row) => tile(row, sort)));
    drawn += next.length;
    const left = shown.length - drawn;
    byId("more").hidden = left === 0;
    byId("more").textContent = `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`;
  };

  const update = () => {
    const wanted = state();
    const text = wanted.text.toLowerCase();
    shown = rows.filter((row) => filters.every((filter) => !wanted[filter] || words(row, filter).includes(wanted[filter]))
      && (!text || cell(row, "path").toLowerCase().includes(text)));
    shown.sort(compare(wanted.sort, Boolean(wanted.turned)));
    remember(wanted);
    drawn = 0;
    byId("tiles").replaceChildren();
    byId("empty").hidden = shown.length > 0;
    const chosen = filters.filter((filter) => wanted[filter]).length + (text ? 1 : 0);
    byId("fold").textContent = chosen ? `Filters (${chosen})` : "Filters";
    byId("count").textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
    draw();
  };

  // A table as cxr-batch writes it (RFC 4180), so that names are read back as they are read from results.csv.
  const listed = ["path", "status", "reason", "prediction", "decision"];
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (cells) => `${cells.map(quoted).join(",")}\n`;
  const save = () => {
    const link = make("a");
    const lines = [line(listed), ...shown.map((row) => line(listed.map((name) => cell(row, name))))];
    link.href = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
    link.download = "list.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  };

  byId("controls").addEventListener("change", update);
  byId("text").addEventListener("input", update);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").addEventListener("reset", () => setTimeout(update));
  byId("more").addEventListener("click", draw);
  byId("save").addEventListener("click", save);
  byId("fold").addEventListener("click", () => {
    const unfolded = byId("controls").classList.toggle("unfolded");
    byId("fold").setAttribute("aria-expanded", String(unfolded));
  });
  byId("before").addEventListener("click", () => step(-1));
  byId("after").addEventListener("click", () => step(1));
  byId("detail").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1);
  });
  byId("detail").addEventListener("click", (event) => {
    if (event.target === byId("detail")) byId("detail").close();
  });
  addEventListener("hashchange", () => { restore(); update(); });
  restore();
  update();
})();
