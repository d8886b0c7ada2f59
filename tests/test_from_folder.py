"""From a folder to a model to an answer in five lines, on synthetic images."""

import io

import numpy as np

import minicnn as mc


def test_from_a_folder_to_a_model_to_an_answer(drawn, tmp_path):
    train, validation = mc.data.from_directory(
        drawn, image_size=24, validation_split=0.25, seed=0, cache=False
    )
    model = mc.Sequential(
        [mc.Conv2D(8, 3, activation="relu"), mc.MaxPool2D(2), mc.Flatten(), mc.Dense(1, activation="sigmoid")]
    )
    model.compile(mc.Adam(0.003), metrics=["accuracy"])
    history = model.fit(train, validation_data=validation, epochs=6, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] and model.class_names == ["cat", "dog"]
    assert model.preprocessing["height"] == 24 and "val_accuracy" in history.history
    model.save(tmp_path / "model.safetensors")
    predict = mc.Predictor(tmp_path / "model.safetensors")
    photo = next(drawn.rglob("dog*.png"))
    answer = predict(photo)
    assert list(answer) == ["cat", "dog"] and abs(sum(answer.values()) - 1) < 1e-6
    for source in (str(photo), photo.read_bytes(), io.BytesIO(photo.read_bytes())):
        assert predict(source) == answer
    decoded = mc.data.decode(photo, 24)
    p = float(model.predict(decoded[None])[0, 0])  # bytes are scaled as in training
    assert answer["dog"] == np.float32(p) or abs(answer["dog"] - p) < 1e-5
