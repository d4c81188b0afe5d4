// Sends this page's form as JSON. Its data-with says whether the last part of the address is a token that goes along;
// it is sent to the address before it, else to this one.
const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  form.querySelector("button").disabled = true;
  const body = Object.fromEntries(new FormData(form));
  let path = location.pathname.replace(/\/+$/, "");
  if (form.dataset.with === "token") {
    body.token = path.split("/").pop();
    path = path.slice(0, path.lastIndexOf("/"));
  }
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const problem = response.ok ? {} : await response.json();
    const reasons = (problem.errors ?? []).map((error) => error.detail).join(" ");
    status.textContent = response.ok ? form.dataset.done : problem.code === "validation_failed" ? reasons : problem.detail;
    form.hidden = response.ok;
  } catch {
    status.textContent = "The server cannot be reached. Try again in a moment.";
  }
  form.querySelector("button").disabled = false;
});
