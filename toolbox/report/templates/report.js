(() => {
  "use strict";
  const light = LIGHT_COLOURS;
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "status");
  (document.querySelector("main") || document.body).append(tip);
  let current = null;

  const hide = () => {
    current?.classList.remove("on");
    current = null;
    tip.classList.remove("on");
  };
  const show = (place) => {
    if (place === current) return;
    hide();
    current = place;
    place.classList.add("on");
    tip.textContent = place.dataset.text;
    tip.classList.add("on");
    put();
  };
  const put = () => {
    if (!current) return;
    const at = current.getBoundingClientRect();
    const left = at.left + at.width / 2 - tip.offsetWidth / 2;
    tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
    const above = at.top - tip.offsetHeight - 8;
    tip.style.top = `${above > 8 ? above : at.bottom + 8}px`;
  };

  const save = (svg, name) => {
    const copy = svg.cloneNode(true);
    copy.querySelector(".places")?.remove();
    const { width, height } = svg.viewBox.baseVal;
    const paper = document.createElementNS(svg.namespaceURI, "rect");
    paper.setAttribute("style", "fill:var(--paper)");
    for (const element of [copy, paper]) {
      element.setAttribute("width", width);
      element.setAttribute("height", height);
    }
    copy.prepend(paper);
    copy.setAttribute("font-family", "system-ui, 'DejaVu Sans', sans-serif");
    for (const element of copy.querySelectorAll("[style]")) {
      const style = element.getAttribute("style");
      element.setAttribute("style", style.replace(/var\(--([a-z0-9-]+)\)/g, (all, role) => light[role] || all));
    }
    const file = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `${name}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };

  for (const plot of document.querySelectorAll(".plot")) {
    const svg = plot.querySelector("svg");
    const places = [...svg.querySelectorAll(".places rect")];
    for (const place of places) {
      // The browser would show a title of its own, later and beside this one.
      place.dataset.text = place.textContent;
      place.replaceChildren();
    }
    if (places.length) {
      plot.tabIndex = 0;
      plot.setAttribute("role", "group");
      plot.setAttribute("aria-label", `${plot.dataset.title}. The arrow keys read its values.`);
      plot.addEventListener("keydown", (event) => {
        const last = places.length - 1;
        const at = places.indexOf(current);
        const to = {
          ArrowRight: Math.min(at + 1, last), ArrowDown: Math.min(at + 1, last),
          ArrowLeft: Math.max(at - 1, 0), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last,
        }[event.key];
        if (event.key === "Escape") hide();
        if (to === undefined) return;
        event.preventDefault();
        show(places[to]);
      });
      const point = (event) => {
        const place = event.target.closest(".places rect");
        if (place) show(place); else hide();
      };
      svg.addEventListener("pointermove", point);
      svg.addEventListener("pointerdown", point);
      svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
      plot.addEventListener("blur", hide);
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Save SVG";
    button.setAttribute("aria-label", `Save as SVG: ${plot.dataset.title}`);
    button.addEventListener("click", () => save(svg, plot.dataset.name));
    plot.closest("figure").querySelector("figcaption").append(button);
  }
  addEventListener("scroll", put, { passive: true });
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
})();
