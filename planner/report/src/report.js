"use strict";
(function () {
  var root = document.documentElement;
  var get = function (id) { return document.getElementById(id); };
  document.querySelectorAll(".js").forEach(function (part) { part.hidden = false; });

  // A file opened from a disk may have no storage: the choice then lasts as long as the page.
  var stored = null;
  try { stored = localStorage.getItem("report-theme"); } catch (error) { stored = null; }
  if (stored === "dark" || stored === "light") { root.dataset.theme = stored; }
  get("theme").addEventListener("click", function () {
    var now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try { localStorage.setItem("report-theme", root.dataset.theme); } catch (error) { return; }
  });

  var openTarget = function () {
    var target = location.hash.length > 1 ? get(location.hash.slice(1)) : null;
    if (target && target.tagName === "DETAILS") {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  var links = Array.from(document.querySelectorAll(".toc a"));
  if ("IntersectionObserver" in window) {
    var watcher = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (!entry.isIntersecting) { return; }
        links.forEach(function (link) {
          if (link.hash === "#" + entry.target.id) { link.setAttribute("aria-current", "true"); }
          else { link.removeAttribute("aria-current"); }
        });
      });
    }, { rootMargin: "0px 0px -75% 0px" });
    document.querySelectorAll("main > [id]").forEach(function (part) { watcher.observe(part); });
  }

  var find = get("find");
  if (!find) { return; }
  var columns = Array.from(document.querySelectorAll(".column"));
  var changed = get("only-changed");
  var pii = get("only-pii");
  var filter = function () {
    var words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    var shown = 0;
    columns.forEach(function (column) {
      var fits = words.every(function (word) { return column.dataset.name.includes(word); })
        && (!changed.checked || column.dataset.changed === "1")
        && (!pii.checked || column.dataset.pii === "1");
      column.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    get("shown").textContent = shown === columns.length ? "" : shown + " of " + columns.length + " columns";
  };
  [find, changed, pii].forEach(function (input) { input.addEventListener("input", filter); });
  var openAll = function (open) {
    columns.forEach(function (column) { if (!column.hidden) { column.open = open; } });
  };
  get("open-all").addEventListener("click", function () { openAll(true); });
  get("close-all").addEventListener("click", function () { openAll(false); });
  filter();
})();
