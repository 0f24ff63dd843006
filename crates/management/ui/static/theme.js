// Dark or light, before the first paint.
//
// A plain script in the head, so that a chosen theme never flashes the other one.
// Without a choice the system's preference holds: base.css knows both.
//
// Not here: the switch (shell.js).
(function () {
  const chosen = localStorage.getItem("warren.theme");
  if (chosen === "light" || chosen === "dark") {
    document.documentElement.dataset.theme = chosen;
  }
})();
