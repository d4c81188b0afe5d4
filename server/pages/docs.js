// Without their examples, optional query parameters stay empty in "Try it out": all of them at once match nobody.
const emptyFilters = {
  statePlugins: {
    spec: {
      wrapActions: {
        updateJsonSpec: (original) => (spec) => {
          for (const parameter of Object.values(spec.components.parameters)) {
            if (parameter.in !== "query") continue;
            delete parameter.example;
            const name = parameter.schema.$ref?.split("/").pop();
            if (name) parameter.schema = { ...spec.components.schemas[name], example: undefined };
          }
          return original(spec);
        },
      },
    },
  },
};

window.ui = SwaggerUIBundle({
  url: "openapi.yaml",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayOperationId: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  plugins: [emptyFilters],
  validatorUrl: null,
});
