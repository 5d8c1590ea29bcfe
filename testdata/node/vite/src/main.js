import "./style.css";

document.querySelector("#app").textContent = `birds at ${location.pathname}`;
