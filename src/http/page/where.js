// Asks the browser where it is and sends the form with it. Without this file, or without a permission, the form takes
// coordinates or words.
(() => {
  const form = document.getElementById("where");
  const button = document.getElementById("locate");
  const failed = document.getElementById("failed");
  if (!form || !button || !navigator.geolocation) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    button.disabled = true;
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        form.elements.lat.value = coords.latitude;
        form.elements.lon.value = coords.longitude;
        form.elements.accuracy.value = coords.accuracy;
        form.submit();
      },
      () => {
        button.disabled = false;
        failed.hidden = false;
      },
      { enableHighAccuracy: true, timeout: 20000, maximumAge: 0 },
    );
  });
})();
