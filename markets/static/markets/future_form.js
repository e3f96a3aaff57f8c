// A perpetual future has no expiry: the form hides that field, and empties it, while the kind is PERPETUAL.
document.addEventListener("DOMContentLoaded", () => {
    const kind = document.getElementById("id_kind");
    const date = document.getElementById("id_expires_at_0");
    const time = document.getElementById("id_expires_at_1");
    if (!kind || !date || !time) {
        return;
    }
    const row = date.closest(".field-expires_at") || date.closest(".form-row") || date.parentElement;
    const follow = () => {
        const perpetual = kind.value === "PERPETUAL";
        row.hidden = perpetual;
        row.style.display = perpetual ? "none" : "";
        if (perpetual) {
            date.value = "";
            time.value = "";
        }
    };
    kind.addEventListener("change", follow);
    follow();
});
