-- Where applications are reached, as signalling writes it. What has expired is told by its body.
CREATE TABLE registration (
    gateway TEXT NOT NULL,
    vpn TEXT NOT NULL,
    application TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (gateway, vpn, application)
);
