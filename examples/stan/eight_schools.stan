// Eight schools (Rubin 1981), non-centred: the effects of coaching and how much they vary from school to school.
data {
  int<lower=1> schools;
  vector[schools] effect;
  vector<lower=0>[schools] error;
}
parameters {
  real mu;
  real<lower=0> tau;
  vector[schools] theta_tilde;
}
transformed parameters {
  vector[schools] theta = mu + tau * theta_tilde;
}
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  theta_tilde ~ std_normal();
  effect ~ normal(theta, error);
}
