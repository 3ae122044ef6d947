// Before the first paint: the theme that was chosen last time on this machine; "auto" follows the system.
"use strict";
try {
  document.documentElement.dataset.theme = localStorage.getItem("odenn-theme") ?? "auto";
} catch {
  document.documentElement.dataset.theme = "auto"; // storage is switched off
}
