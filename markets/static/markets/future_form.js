// A perpetual future has no expiry: the form hides that field, and empties it, while the kind is PERPETUAL.
// The form is a page of its own, or a tab of the asset's page, where its fields have a prefix.
document.addEventListener("DOMContentLoaded", () => {
    for (const kind of document.querySelectorAll('select[name="kind"], select[name$="-kind"]')) {
        const prefix = kind.name.slice(0, -"kind".length);
        const parts = [0, 1].map((part) => document.getElementsByName(`${prefix}expires_at_${part}`)[0]);
        if (parts.some((part) => !part)) {
            continue;
        }
        const row = parts[0].closest(".field-row, .form-row") || parts[0].parentElement;
        const follow = () => {
            const perpetual = kind.value === "PERPETUAL";
            row.style.display = perpetual ? "none" : "";
            if (perpetual) {
                parts.forEach((part) => (part.value = ""));
            }
        };
        kind.addEventListener("change", follow);
        follow();
    }
});
