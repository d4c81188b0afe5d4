// Posts to the address of this page, which holds the token. Without this script the form does the same.
const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  form.querySelector("button").disabled = true;
  try {
    const response = await fetch(location.pathname, { method: "POST" });
    const body = await response.json();
    status.textContent = response.ok ? "Your address is verified. You can sign in now." : body.detail;
    form.hidden = response.ok;
  } catch {
    status.textContent = "The server cannot be reached. Try again in a moment.";
  }
  form.querySelector("button").disabled = false;
});
