import { clearErrors, placeErrors } from "./field_errors.js";

/** Do what a form's button does, once at a time; what is missing or refused is said at its fields. */
export function attachStep(form, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearErrors(form);
    const missing = [...form.querySelectorAll("[data-pointer]")]
      .filter(({ validity }) => !validity.valid)
      .map((field) => ({ pointer: field.dataset.pointer, detail: field.validationMessage }));
    if (missing.length > 0) {
      placeErrors(form, missing);
      return;
    }
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await act();
    } catch (problem) {
      placeErrors(form, problem.errors?.length > 0 ? problem.errors : [{ pointer: "", detail: problem.message }]);
    } finally {
      button.disabled = false;
    }
  });
}
