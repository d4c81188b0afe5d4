// The rules of redocly.yaml that need code. Each visits the document once and reports where it is wrong.

const isComponent = (location) => /^#\/components\/schemas\/[^/]+$/.test(location.pointer);

// What is written in another schema gets a made-up name in generated code, such as CreateUser201Role.
// OpenAPI 3.0 knows nothing beside a $ref, so an enum with a default has to be repeated: then x-go-type
// names the component that it repeats, and the values may not drift apart from it.
const enumIsNamed = () => {
  const components = new Map();
  const repeated = [];
  return {
    Schema(schema, {location, report}) {
      if (!schema.enum) {
        return;
      }
      if (isComponent(location)) {
        components.set(location.pointer.split('/').pop(), schema.enum);
      } else if (schema['x-go-type'] && 'default' in schema) {
        repeated.push({schema, location: location.child('enum')});
      } else {
        report({message: 'An enum is a schema of its own in components.', location: location.child('enum')});
      }
    },
    Root: {
      leave(_root, {report}) {
        for (const {schema, location} of repeated) {
          const name = schema['x-go-type'];
          if (String(components.get(name)) !== String(schema.enum)) {
            report({message: `This enum repeats ${name}, but its values are not those of ${name}.`, location});
          }
        }
      },
    },
  };
};

// zod clients do not compile with it, and Go gets a constant for nothing.
const enumHasNoNull = () => ({
  Schema(schema, {location, report}) {
    const at = schema.enum?.indexOf(null) ?? -1;
    if (at >= 0) {
      report({message: 'There is no null in an enum: a value says what null would mean.', location: location.child(['enum', at])});
    }
  },
});

const isRequest = (location) => location.pointer.endsWith('Request');

// A client that may rely on a field does not ask whether it is there; "no value" is null.
const responseFieldIsRequired = () => ({
  Schema(schema, {location, report}) {
    if (!schema.properties || isRequest(location)) {
      return;
    }
    for (const name of Object.keys(schema.properties)) {
      if (!schema.required?.includes(name)) {
        report({message: `The field ${name} of an answer is not in required.`, location: location.child(['properties', name]).key()});
      }
    }
  },
});

// A misspelled field is refused, not ignored.
const requestIsClosed = () => ({
  Schema(schema, {location, report}) {
    if (isComponent(location) && isRequest(location) && schema.additionalProperties !== false) {
      report({message: 'A request says additionalProperties: false.', location: location.key()});
    }
  },
});

// A scope that no role has closes an operation to everyone.
const scopeHasARole = () => {
  const asked = [];
  const held = new Set();
  return {
    SecurityRequirement(requirement, {location}) {
      for (const [scheme, scopes] of Object.entries(requirement)) {
        scopes.forEach((scope, i) => asked.push({scope, location: location.child([scheme, i])}));
      }
    },
    SecurityScheme(scheme) {
      for (const scopes of Object.values(scheme['x-roles'] ?? {})) {
        scopes.forEach((scope) => held.add(scope));
      }
    },
    Root: {
      leave(_root, {report}) {
        for (const {scope, location} of asked) {
          if (!held.has(scope)) {
            report({message: `No role in x-roles has the scope ${scope}.`, location});
          }
        }
      },
    },
  };
};

export default () => ({
  id: 'contract',
  rules: {
    oas3: {
      'enum-has-no-null': enumHasNoNull,
      'enum-is-named': enumIsNamed,
      'request-is-closed': requestIsClosed,
      'response-field-is-required': responseFieldIsRequired,
      'scope-has-a-role': scopeHasARole,
    },
  },
});
