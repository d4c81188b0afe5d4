// Documents that must fail: openapi.yaml with an edit, the only rule that may then fire, and where. `at` is read through
// $refs like the pointers of edits, unless it says exactly.
import {add, append, remove, rename, replace} from './edit.mjs';

const schemas = '/components/schemas';
const listUsers = '/paths/~1users/get';
const register = '/paths/~1register/post';

export const redocly = [
  {
    name: 'an operation without operationId',
    edits: [remove(`${listUsers}/operationId`)],
    rule: 'operation-operationId',
    at: {exactly: '#/paths/~1users/get/operationId'},
  },
  {
    name: 'a default response',
    edits: [rename(`${listUsers}/responses/500`, 'default')],
    rule: 'rule/status-is-a-number',
    at: {exactly: '#/paths/~1users/get/responses/default'},
  },
  {
    name: 'an inline body',
    edits: [replace(`${register}/responses/201/content/application~1json/schema`, {type: 'object'})],
    rule: 'rule/body-is-a-component',
    at: '#/paths/~1register/post/responses/201/content/application~1json/schema',
  },
  {
    name: 'null in an enum',
    edits: [append(`${schemas}/RegistrationMode/enum`, null), add(`${schemas}/RegistrationMode/nullable`, true)],
    rule: 'contract/enum-has-no-null',
    at: '#/components/schemas/RegistrationMode/enum/2',
  },
  {
    name: 'a scope that no role has',
    edits: [
      add('/components/securitySchemes/oauth2/flows/password/scopes/users:merge', 'Merge users.'),
      replace(`${listUsers}/security/0/oauth2/0`, 'users:merge'),
    ],
    rule: 'contract/scope-has-a-role',
    at: '#/paths/~1users/get/security/0/oauth2/0',
  },
  {
    name: 'a scope that the scheme does not declare',
    edits: [
      replace(`${listUsers}/security/0/oauth2/0`, 'users:merge'),
      append('/components/securitySchemes/oauth2/x-roles/ADMIN', 'users:merge'),
    ],
    rule: 'security-scopes-defined',
    at: '#/paths/~1users/get/security/0/oauth2/0',
  },
  {
    name: 'an example of a body that does not validate',
    edits: [replace('/paths/~1users~1{user_id}~1role/put/requestBody/content/application~1json/example', {role: 'EMPEROR'})],
    rule: 'no-invalid-media-type-examples',
    at: '#/paths/~1users~1{user_id}~1role/put/requestBody/content/application~1json/example/role',
  },
  {
    name: 'an example of a parameter that does not validate',
    edits: [replace('/components/parameters/LimitQuery/example', 1000)],
    rule: 'no-invalid-parameter-examples',
    at: '#/components/parameters/LimitQuery/example',
  },
  {
    name: 'an example of a schema that does not validate',
    edits: [replace(`${schemas}/NicknameRules/properties/min_length/example`, 'three')],
    rule: 'no-invalid-schema-examples',
    at: '#/components/schemas/NicknameRules/properties/min_length/example',
  },
  {
    name: 'an operationId in snake_case',
    edits: [replace(`${listUsers}/operationId`, 'list_users')],
    rule: 'rule/operation-id-is-camel-case',
    at: '#/paths/~1users/get/operationId',
  },
  {
    name: 'a parameter in camelCase',
    edits: [replace('/components/parameters/IsLockedQuery/name', 'isLocked')],
    rule: 'rule/parameter-is-snake-case',
    at: '#/components/parameters/IsLockedQuery/name',
  },
  {
    name: 'a field in camelCase',
    edits: [rename(`${schemas}/RegisterRequest/properties/bio`, 'aboutMe')],
    rule: 'rule/property-is-snake-case',
    at: '#/components/schemas/RegisterRequest/properties/aboutMe',
  },
  {
    name: 'a schema in snake_case',
    edits: [
      rename(`${schemas}/PasswordPolicy`, 'password_policy'),
      replace(`${schemas}/PasswordRules/properties/policy`, {$ref: '#/components/schemas/password_policy'}),
    ],
    rule: 'rule/schema-is-pascal-case',
    at: '#/components/schemas/password_policy',
  },
  {
    name: 'an enum inside another schema',
    edits: [replace(`${schemas}/PasswordRules/properties/policy`, {type: 'string', description: 'The policy.', enum: ['composition', 'nist'], example: 'nist'}), remove(`${schemas}/PasswordPolicy`)],
    rule: 'contract/enum-is-named',
    at: '#/components/schemas/PasswordRules/properties/policy/enum',
  },
  {
    name: 'an enum that repeats another and lacks a value',
    edits: [remove(`${schemas}/CreateUserRequest/properties/role/enum/2`)],
    rule: 'contract/enum-is-named',
    at: '#/components/schemas/CreateUserRequest/properties/role/enum',
  },
  {
    name: 'a field of an answer that may be absent',
    edits: [remove(`${schemas}/NicknameRules/required/2`)],
    rule: 'contract/response-field-is-required',
    at: '#/components/schemas/NicknameRules/properties/pattern',
  },
  {
    name: 'a request that takes any field',
    edits: [remove(`${schemas}/LockUserRequest/additionalProperties`)],
    rule: 'contract/request-is-closed',
    at: '#/components/schemas/LockUserRequest',
  },
  {
    name: 'a body without an example',
    edits: [remove('/paths/~1users~1{user_id}~1lock/post/requestBody/content/application~1json/example')],
    rule: 'rule/media-type-has-an-example',
    at: '#/paths/~1users~1{user_id}~1lock/post/requestBody/content/application~1json',
  },
  {
    name: 'a parameter without an example',
    edits: [remove('/components/parameters/SkipQuery/example')],
    rule: 'rule/parameter-has-an-example',
    at: '#/components/parameters/SkipQuery',
  },
  {
    name: 'a header without an example',
    edits: [remove(`${listUsers}/responses/200/headers/Link/example`)],
    rule: 'rule/header-has-an-example',
    at: '#/paths/~1users/get/responses/200/headers/Link',
  },
];

export const spectral = [
  {
    name: 'an error that is plain JSON',
    edits: [rename('/paths/~1login/post/responses/403/content/application~1problem+json', 'application/json')],
    rule: 'error-is-a-problem',
    at: '#/paths/~1login/post/responses/403/content',
  },
  {
    name: 'an error without a body',
    edits: [remove('/paths/~1login/post/responses/413/content')],
    rule: 'error-is-a-problem',
    at: '#/paths/~1login/post/responses/413',
  },
  {
    name: 'an operation with a token and without 401',
    edits: [remove(`${listUsers}/responses/401`)],
    rule: 'secured-answers-401',
    at: '#/paths/~1users/get/responses',
  },
  {
    name: 'an operation with a body and without 422',
    edits: [remove(`${register}/responses/422`)],
    rule: 'body-answers-its-refusals',
    at: '#/paths/~1register/post/responses',
  },
  {
    name: 'an operation that neither succeeds nor redirects',
    edits: [rename('/paths/~1.well-known~1change-password/get/responses/302', '103')],
    rule: 'operation-success-response',
    at: '#/paths/~1.well-known~1change-password/get/responses',
  },
  {
    name: 'a 201 without Location',
    edits: [remove(`${register}/responses/201/headers`)],
    rule: 'created-says-where',
    at: '#/paths/~1register/post/responses/201',
  },
  {
    name: 'a 401 without WWW-Authenticate',
    edits: [remove('/paths/~1login/post/responses/401/headers')],
    rule: 'refused-says-how-to-sign-in',
    at: '#/paths/~1login/post/responses/401',
  },
  {
    name: 'a 503 without Retry-After',
    edits: [remove('/paths/~1readyz/get/responses/503/headers')],
    rule: 'throttled-says-how-long',
    at: '#/paths/~1readyz/get/responses/503',
  },
];

// Compared with the document before the edit, as if that were the release.
export const breaking = [
  {
    name: 'a removed field of an answer',
    edits: [remove(`${schemas}/NicknameRules/properties/pattern`), remove(`${schemas}/NicknameRules/required/2`)],
    rule: 'response-required-property-removed',
    at: 'GET /settings',
  },
  {
    name: 'a field of an answer that is optional from now on',
    edits: [remove(`${schemas}/NicknameRules/required/2`)],
    rule: 'response-property-became-optional',
    at: 'GET /settings',
  },
  {
    name: 'a field of an answer that becomes nullable',
    edits: [add(`${schemas}/NicknameRules/properties/pattern/nullable`, true)],
    rule: 'response-property-became-nullable',
    at: 'GET /settings',
  },
  {
    name: 'a removed operation',
    edits: [remove('/paths/~1users~1{user_id}~1downgrade')],
    rule: 'api-path-removed-without-deprecation',
    at: 'POST /users/{user_id}/downgrade',
  },
  {
    name: 'a renamed operation',
    edits: [replace(`${listUsers}/operationId`, 'findUsers')],
    rule: 'api-operation-id-removed',
    at: 'GET /users',
  },
  {
    name: 'a renamed schema',
    edits: [
      rename(`${schemas}/PasswordPolicy`, 'PasswordRule'),
      replace(`${schemas}/PasswordRules/properties/policy`, {$ref: '#/components/schemas/PasswordRule'}),
    ],
    rule: 'api-schema-removed',
    at: 'components',
  },
  {
    name: 'a field that a request must have from now on',
    edits: [append(`${schemas}/RegisterRequest/required`, 'nickname')],
    rule: 'request-property-became-required',
    at: 'POST /register',
  },
  {
    name: 'an operation that moves to another tag',
    edits: [replace('/paths/~1livez/get/tags/0', 'Users')],
    rule: 'api-tag-removed',
    at: 'GET /livez',
  },
];

// Not breaking, by the policy on enums and because it is one more.
export const additions = [
  {name: 'a new problem code', edits: [append(`${schemas}/ProblemCode/enum`, 'moon_is_full')]},
  {name: 'a new field of an answer', edits: [add(`${schemas}/NicknameRules/properties/hint`, {type: 'string', maxLength: 100}), append(`${schemas}/NicknameRules/required`, 'hint')]},
  {name: 'a new optional field of a request', edits: [add(`${schemas}/LockUserRequest/properties/note`, {type: 'string', maxLength: 100})]},
];
