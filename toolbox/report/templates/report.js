(() => {
  "use strict";
  // Tooltips at once, and by touch: the browser shows an SVG title late, or not at all.
  const tip = document.createElement("div");
  tip.id = "tip";
  document.body.append(tip);
  for (const title of document.querySelectorAll(".chart title")) {
    title.parentElement.dataset.tip = title.textContent;
    title.remove();
  }
  const point = (event) => {
    const mark = event.target.closest?.("[data-tip]");
    tip.classList.toggle("on", Boolean(mark));
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const left = event.clientX - tip.offsetWidth / 2, above = event.clientY - tip.offsetHeight - 14;
    tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  addEventListener("pointermove", point);
  addEventListener("pointerdown", point);
  addEventListener("scroll", () => tip.classList.remove("on"), { passive: true });
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
})();
